"""Synthetic pairs: the label's degradation, a milder second one, and what comes after both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from autodir_core.degrade import degrade
from autodir_lab.training.data.augment import AugmentationProbs
from autodir_lab.training.data.crops import CropConfig
from autodir_lab.training.data.synthetic import SYNTHETIC, degrade_in_order, draw_second, draw_synthetic_pair

PLAIN = CropConfig(64, clean_fraction=0.2)


@pytest.fixture
def crop():
    return torch.rand(64, 64, 4, generator=torch.Generator().manual_seed(2))


def with_probs(**probs):
    return replace(PLAIN, augmentation=AugmentationProbs(**probs))


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_clean_pair_is_one_picture_twice(crop):
    clean, degraded = draw_synthetic_pair(crop, "no", SYNTHETIC, PLAIN, rng())
    assert torch.equal(clean, crop[..., :3]) and clean is degraded
    clean, degraded = draw_synthetic_pair(crop, "no", SYNTHETIC, with_probs(web=1, second=1, partial=1), rng(3))
    assert clean is degraded and 0 < (clean - crop[..., :3]).abs().mean() < 0.15


def test_the_whole_family_is_drawn(crop):
    """For the seed that it is given, a pair's picture is that of `degrade` without a kind."""
    degraded = SYNTHETIC["noise"](crop, 0.5, 17)
    assert torch.equal(degraded, degrade(crop[None, ..., :3], "noise", severity=0.5, seed=17)[0])


def test_the_web_comes_after_the_degradation_and_not_into_the_reference(crop):
    changed = 0
    for seed in range(8):
        clean, degraded = draw_synthetic_pair(crop, "rain", SYNTHETIC, with_probs(web=1), rng(seed))
        plain, rainy = draw_synthetic_pair(crop, "rain", SYNTHETIC, PLAIN, rng(seed))
        assert torch.equal(clean, plain)
        changed += not torch.equal(degraded, rainy)
    assert changed >= 5


@pytest.mark.parametrize("label", SYNTHETIC)
def test_a_second_degradation_is_milder_and_another(label):
    seconds = [draw_second(label, 0.8, SYNTHETIC, rng(seed)) for seed in range(60)]
    assert all(len(second) == 1 and label not in second for second in seconds)
    assert all(0 <= severity <= 0.4 for second in seconds for severity in second.values())
    drawn = {name for second in seconds for name in second}
    assert len(drawn) >= 5 and not ("blur" in drawn and label == "low resolution")


def test_the_order_is_that_of_image_formation(crop):
    """Degradations of one's own come last."""
    called: list[str] = []

    def record(name):
        def apply(crop, severity, seed):
            called.append(name)
            return crop[..., :3]

        return apply

    names = ("glare", "noise", "haze", "blur")
    degrade_in_order(crop, dict.fromkeys(names, 0.5), {name: record(name) for name in names}, rng())
    assert called == ["haze", "blur", "noise", "glare"]
