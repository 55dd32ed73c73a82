"""What is measured of each sample."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.imaging.metrics import luminance, psnr
from autodir_lab.evaluation.evaluator import evaluate
from autodir_lab.evaluation.protocol import Protocol
from autodir_lab.evaluation.sources import ImagePair, Sample, photo_samples

SMALL = Protocol(crops=2, size=48, steps=1, max_rounds=1)


def test_every_label_of_every_crop(tiny, random_image):
    samples, images = photo_samples({"a": random_image(0), "b": random_image(1)}, tiny.labels, SMALL), []
    results = evaluate(tiny, samples, SMALL, on_result=lambda result, shown: images.append(shown))
    assert len(results) == 2 * 2 * 8
    assert {result.ground_truth for result in results} == set(ad.LABELS)
    for result, shown in zip(results, images, strict=True):
        assert torch.equal(shown.reference, shown.degraded) == (result.ground_truth == "no")
        assert result.after.psnr == pytest.approx(psnr(shown.restored, shown.reference))
        assert result.rounds == ((result.predicted,) if result.predicted != "no" else ())
        assert len(result.psnr_per_round) == len(result.rounds)
        assert result.severity == (None if result.ground_truth == "no" else 0.5)
    assert evaluate(tiny, samples, SMALL) == results, "results depend on the seed alone"


def test_each_round_has_its_psnr(tiny, random_image):
    protocol, degraded, reference = Protocol(size=48, steps=1, max_rounds=3), random_image(0, 48), random_image(1, 48)
    sample = Sample("a", 0, ("noise",), 0.5, lambda: ImagePair(degraded, reference))
    result = evaluate(tiny, [sample], protocol)[0]
    restoration = ad.restore(tiny, degraded, ad.LoopSettings(3), ad.SamplerSettings(1), seed=protocol.seed)
    assert result.psnr_per_round == pytest.approx([psnr(each.image, reference) for each in restoration.rounds])
    assert result.psnr_per_round[-1] == pytest.approx(result.after.psnr)


def test_finished_samples_are_not_measured_again(tiny, random_image):
    samples = photo_samples({"a": random_image(0)}, tiny.labels, SMALL)
    finished, measured = evaluate(tiny, samples[:5], SMALL), []
    results = evaluate(tiny, samples, SMALL, finished=finished, on_result=lambda result, _: measured.append(result))
    assert results[:5] == finished
    assert len(measured) == len(samples) - 5


def test_nothing_is_compared_without_a_reference(tiny, random_image):
    degraded = random_image(0, 48)
    result = evaluate(tiny, [Sample("a", None, (), None, lambda: ImagePair(degraded, None))], SMALL)[0]
    assert result.before is result.after is None and result.psnr_per_round == () and result.ground_truth == ""
    restoration = ad.restore(tiny, degraded, ad.LoopSettings(1), ad.SamplerSettings(1), seed=SMALL.seed)
    assert result.mean_abs_diff == pytest.approx(255 * (restoration.image.clamp(0, 1) - degraded).abs().mean().item())


def test_luminance(tiny, random_image):
    degraded, reference = random_image(0, 48), random_image(1, 48)
    sample = Sample("a", None, ("noise",), None, lambda: ImagePair(degraded, reference))
    result = evaluate(tiny, [sample], Protocol(size=48, restore=False, luma=True))[0]
    assert result.before.psnr == pytest.approx(psnr(luminance(degraded), luminance(reference)))
    assert result.before == result.after and result.stopped == ""
