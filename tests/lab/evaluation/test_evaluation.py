"""Metrics against known answers and other implementations; the protocol; what is measured of each picture."""

from __future__ import annotations

import importlib.machinery
import sys
import types

import numpy as np
import pytest
import torch

import autodir_core as ad
from autodir_core.degrade import compose, degrade
from autodir_core.imaging.files import write_picture
from autodir_core.imaging.metrics import load_lpips, luminance, psnr, ssim
from autodir_core.optional_imports import is_installed
from autodir_lab.evaluation import Protocol, evaluate
from autodir_lab.evaluation.photos import PHOTOS, folder_photos, natural_photos
from autodir_lab.evaluation.protocol import crops, damaged, drawn_severity, mixtures
from autodir_lab.evaluation.sources import Pair, Sample, photo_samples

SMALL = Protocol(crops=2, size=48, steps=1, max_rounds=1)


class TestMetrics:
    def test_psnr(self):
        truth = torch.full((1, 4, 4, 3), 0.5)
        assert psnr(truth + 0.1, truth) == pytest.approx(20.0, abs=1e-4)
        assert psnr(truth, truth) == 100
        assert psnr(truth + 5, truth) == pytest.approx(psnr(torch.ones_like(truth), truth)), (
            "clamped as a file would be"
        )

    def test_ssim_agrees_with_scikit_image(self, picture):
        metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
        truth, noisy = picture(0), (picture(0) + 0.2 * picture(1)).clamp(0, 1)
        theirs = metrics.structural_similarity(
            truth[0].double().numpy(),
            noisy[0].double().numpy(),
            channel_axis=-1,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert ssim(noisy, truth) == pytest.approx(theirs, abs=2e-3)
        assert ssim(truth, truth) == pytest.approx(1.0)

    def test_sizes_must_agree(self, picture):
        with pytest.raises(ad.InputError, match="one shape"):
            psnr(picture(0), picture(0, 32))

    def test_luminance_agrees_with_scikit_image(self, picture):
        color = pytest.importorskip("skimage.color", reason="scikit-image is not installed")
        theirs = color.rgb2ycbcr(picture(0)[0].double().numpy())[..., 0] / 255
        assert np.allclose(luminance(picture(0))[0, ..., 0].numpy(), theirs, atol=1e-6)
        assert luminance(torch.ones(1, 1, 1, 3)).item() == pytest.approx(235 / 255)

    def test_lpips_sees_colours_from_minus_one_to_one(self, monkeypatch):
        class Network(torch.nn.Module):
            def forward(self, one, other):
                assert one.shape == (1, 3, 2, 5) and one.min() >= -1
                return (one - other).abs().mean().view(1, 1, 1, 1)

        package = types.ModuleType("lpips")
        package.__spec__ = importlib.machinery.ModuleSpec("lpips", None)
        package.LPIPS = lambda net, verbose: Network()
        monkeypatch.setitem(sys.modules, "lpips", package)
        dark, bright = torch.full((1, 2, 5, 3), 0.25), torch.full((1, 2, 5, 3), 0.35)
        assert is_installed("lpips")
        assert load_lpips(torch.device("cpu"))(dark, bright) == pytest.approx(0.2, abs=1e-6)

    def test_without_lpips_the_error_says_what_to_do(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "lpips", None)
        with pytest.raises(ad.AutoDIRError, match="pip install lpips, or give --no-lpips"):
            load_lpips(torch.device("cpu"))


class TestProtocol:
    def test_a_photo_must_hold_a_crop(self, picture):
        with pytest.raises(ad.InputError, match="photo a is 64x64"):
            list(crops({"a": picture(0)}, Protocol(size=65)))

    def test_more_crops_leave_the_first_where_they_were(self, picture):
        few, many = (list(crops({"a": picture(0)}, Protocol(size=40, crops=count))) for count in (2, 4))
        assert all(torch.equal(one[2], other[2]) for one, other in zip(few, many, strict=False))
        assert not torch.equal(many[0][2], many[1][2])

    def test_a_severity_of_its_own_for_every_case(self):
        protocol = Protocol(severity=(0.2, 0.6))
        drawn = [drawn_severity(label, f"cat {crop}", protocol) for label in ad.LABELS for crop in range(50)]
        assert 0.2 <= min(drawn) < 0.22 and 0.58 < max(drawn) <= 0.6
        assert len(set(drawn)) == len(drawn)
        assert drawn_severity("rain", "cat 0", protocol) == drawn_severity("rain", "cat 0", protocol)
        assert drawn_severity("rain", "cat 0", Protocol(severity=0.3)) == 0.3

    def test_damage_is_that_of_degrade(self, picture):
        clean, protocol = picture(0), Protocol(severity=(0.1, 0.9))
        drawn = drawn_severity("rain", "cat 0", protocol)
        rainy = degrade(clean, "rain", severity=drawn, seed=728792225)
        assert torch.equal(damaged(clean, "rain", "cat 0", protocol), rainy)
        mixed = compose(clean, ["rain", "noise"], severity=0.5, seed=500562626)
        assert torch.equal(damaged(clean, "rain + noise", "cat 0", Protocol()), mixed)
        assert damaged(clean, "no", "cat 0", protocol) is clean

    def test_mixtures_in_the_order_of_image_formation(self):
        pairs = mixtures(ad.LABELS)
        assert len(pairs) == 21 and ("haze", "noise") in pairs and ("underexposure", "noise") in pairs
        assert mixtures(("noise", "haze", "no")) == [("haze", "noise")]


class TestMeasuring:
    def test_every_label_of_every_crop(self, tiny, picture):
        samples, seen = photo_samples({"a": picture(0), "b": picture(1)}, tiny.labels, SMALL), []
        cases = evaluate(tiny, samples, SMALL, on_case=lambda case, pictures: seen.append(pictures))
        assert len(cases) == 2 * 2 * 8
        assert {case.label for case in cases} == set(ad.LABELS)
        for case, pictures in zip(cases, seen, strict=True):
            assert torch.equal(pictures.clean, pictures.degraded) == (case.label == "no")
            assert case.after.psnr == pytest.approx(psnr(pictures.restored, pictures.clean))
            assert case.rounds == ((case.seen,) if case.seen != "no" else ())
            assert len(case.rounds_psnr) == len(case.rounds)
            assert case.severity == (None if case.label == "no" else 0.5)
        assert evaluate(tiny, samples, SMALL) == cases, "the seed decides everything"

    def test_each_round_has_its_psnr(self, tiny, picture):
        protocol = Protocol(size=48, steps=1, max_rounds=3)
        sample = Sample("a", 0, ("noise",), 0.5, lambda: Pair(picture(0, 48), picture(1, 48)))
        case = evaluate(tiny, [sample], protocol)[0]
        done = ad.restore(tiny, picture(0, 48), ad.LoopSettings(3), ad.SamplerSettings(1), seed=protocol.seed)
        assert case.rounds_psnr == pytest.approx([psnr(each.image, picture(1, 48)) for each in done.rounds])
        assert case.rounds_psnr[-1] == pytest.approx(case.after.psnr)

    def test_what_is_done_is_not_done_again(self, tiny, picture):
        samples = photo_samples({"a": picture(0)}, tiny.labels, SMALL)
        done = evaluate(tiny, samples[:5], SMALL)
        anew = []
        assert evaluate(tiny, samples, SMALL, done=done, on_case=lambda case, _: anew.append(case))[:5] == done
        assert len(anew) == len(samples) - 5

    def test_without_a_truth_nothing_is_compared(self, tiny, picture):
        case = evaluate(tiny, [Sample("a", None, (), None, lambda: Pair(picture(0, 48), None))], SMALL)[0]
        assert case.before is case.after is None and case.rounds_psnr == () and case.label == ""
        done = ad.restore(tiny, picture(0, 48), ad.LoopSettings(1), ad.SamplerSettings(1), seed=SMALL.seed)
        assert case.change == pytest.approx(255 * (done.image.clamp(0, 1) - picture(0, 48)).abs().mean().item())

    def test_luminance_where_it_is_asked_for(self, tiny, picture):
        sample = Sample("a", None, ("noise",), None, lambda: Pair(picture(0, 48), picture(1, 48)))
        case = evaluate(tiny, [sample], Protocol(size=48, restore=False, luma=True))[0]
        assert case.before.psnr == pytest.approx(psnr(luminance(picture(0, 48)), luminance(picture(1, 48))))
        assert case.before == case.after and case.stopped == ""


def test_eight_photos_come_with_packages():
    for package in ("skimage", "sklearn", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    photos = natural_photos()
    assert len(photos) == len(PHOTOS) == 8
    assert all(min(photo.shape[1:3]) >= 256 and photo.shape[3] == 3 for photo in photos.values())


def test_photos_of_one_name_are_refused(tmp_path, picture):
    for name in ("a.png", "a.webp"):
        write_picture(tmp_path / name, picture(0))
    with pytest.raises(ad.InputError, match="only in its suffix"):
        folder_photos(tmp_path)
