"""Metrics against known answers and another implementation; the protocol; the tables."""

from __future__ import annotations

import json

import pytest
import torch

import autodir_core as ad
from autodir_core.cli import main
from autodir_core.evaluation import Case, Protocol, evaluate, markdown
from autodir_core.evaluation.metrics import psnr, ssim
from autodir_core.evaluation.photos import PHOTOS, natural_photos
from autodir_core.files import write_picture

SMALL = Protocol(crops=2, size=48, steps=1, max_rounds=1)


def picture(seed: int, size: int = 64) -> torch.Tensor:
    return torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(seed))


def test_psnr():
    truth = torch.full((1, 4, 4, 3), 0.5)
    assert psnr(truth + 0.1, truth) == pytest.approx(20.0, abs=1e-4)
    assert psnr(truth, truth) == 100
    assert psnr(truth + 5, truth) == pytest.approx(psnr(torch.ones_like(truth), truth)), "clamped as a file would be"


def test_ssim_agrees_with_scikit_image():
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


def test_sizes_must_agree():
    with pytest.raises(ad.InputError, match="one shape"):
        psnr(picture(0), picture(0, 32))


def test_every_label_of_every_crop_is_measured(tiny):
    photos = {"a": picture(0), "b": picture(1)}
    seen = []
    cases = evaluate(tiny, photos, SMALL, on_case=lambda case, *pictures: seen.append(pictures))
    assert len(cases) == 2 * 2 * 8
    assert {case.label for case in cases} == set(ad.LABELS)
    for case, (clean, degraded, restored) in zip(cases, seen, strict=True):
        assert torch.equal(clean, degraded) == (case.label == "no")
        assert case.psnr_after == pytest.approx(psnr(restored, clean))
        assert case.rounds == ((case.seen,) if case.seen != "no" else ())
    assert evaluate(tiny, photos, SMALL) == cases, "the seed decides everything"


def test_a_photo_must_hold_a_crop(tiny):
    with pytest.raises(ad.InputError, match="photo a is 64x64"):
        evaluate(tiny, {"a": picture(0)}, Protocol(size=65))


def case(label: str, seen: str, *, before: float = 20.0, after: float = 25.0, rounds: tuple[str, ...] = ()) -> Case:
    return Case("photo", 0, label, seen, 0.9, rounds, "clean", before, after, 0.5, 0.75)


def test_the_tables_count_right():
    cases = [
        case("noise", "noise", before=10, after=16),
        case("noise", "no", before=20, after=22),
        case("no", "no"),
        case("no", "noise", rounds=("noise",)),
    ]
    text = markdown(cases, ("noise", "no"))
    assert "| noise | 2 | 50 % | 15.00 | 19.00 | +4.00 | 0.500 | 0.750 |" in text
    assert "| no (clean photo) | 2 | 50 % | left untouched: 50 % |" in text
    assert "| **mean of the degradations** | 2 | 50 % (all labels) | 15.00 | 19.00 | +4.00 |" in text
    assert "| **noise** | 1 | 1 |" in text


def test_eight_photos_come_with_packages():
    for package in ("skimage", "sklearn", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    photos = natural_photos()
    assert len(photos) == len(PHOTOS) == 8
    assert all(min(photo.shape[1:3]) >= 256 and photo.shape[3] == 3 for photo in photos.values())


def test_the_command_writes_table_and_cases(tiny_path, tmp_path, capsys):
    write_picture(tmp_path / "photos" / "one.png", picture(0))
    arguments = ["evaluate", str(tmp_path / "photos"), "--model", str(tiny_path), "--device", "cpu"]
    arguments += ["--crops", "1", "--size", "48", "--steps", "1", "--max-rounds", "1", "-o", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "| noise | 1 |" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert len(content["cases"]) == 8 and content["protocol"]["seed"] == 2024
    assert (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8").startswith("model, 20")
