"""Augmentations: they change colors only, stay in range, and repeat with their seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autodir_lab.training.data.augment import (
    NO_AUGMENTATION,
    AugmentationProbs,
    add_imperceptible_degradation,
    apply_camera,
    apply_web,
    augment,
    restrict_to_part,
)


@pytest.fixture
def crops():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 64, 64, 4, generator=generator)


ON_CLEAN_CROPS = ("shaded_objects", "depth_of_field", "camera_isp", "soft_patches", "low_key", "jpeg")


@pytest.mark.parametrize("name", ON_CLEAN_CROPS)
def test_each_augmentation_changes_colors_and_nothing_else(crops, name):
    crop, other = crops
    first, again = (
        augment(crop, lambda: other, np.random.default_rng(5), AugmentationProbs(**{name: 1.0})) for _ in range(2)
    )
    assert torch.equal(first, again)
    assert torch.equal(first[..., 3], crop[..., 3]), "the depth belongs to the scene"
    assert first.min() >= 0 and first.max() <= 1
    assert (first - crop)[..., :3].abs().max() > 0.01


def test_without_augmentation_a_crop_stays(crops):
    def another():
        pytest.fail("no second crop is needed")

    assert torch.equal(augment(crops[0], another, np.random.default_rng(5), NO_AUGMENTATION), crops[0])


def test_low_key_is_dark_but_its_lights_stay_bright():
    """Gray becomes dark; white keeps what the tint leaves of it, at least 0.6."""
    half = torch.full((256, 256, 4), 0.5)
    half[:, 128:, :3] = 1.0
    evening = augment(half, lambda: half, np.random.default_rng(8), AugmentationProbs(low_key=1.0))[..., :3]
    assert evening[:, :128].median() < 0.4
    assert evening[:, 128:].min() >= 0.6


@pytest.mark.parametrize("apply", [apply_camera, apply_web])
def test_what_every_photograph_goes_through_is_no_damage(apply):
    """Repeatable, mostly a change, and one that leaves a soft picture within 18 dB of what it was."""
    field = torch.linspace(0, 9, 64).sin() * torch.linspace(0, 7, 64)[:, None].cos()
    color = (0.5 + 0.3 * field)[..., None].repeat(1, 1, 3)
    changed = [apply(color, np.random.default_rng(seed)) for seed in range(24)]
    assert torch.equal(changed[3], apply(color, np.random.default_rng(3)))
    errors = torch.stack([(one - color).square().mean() for one in changed])
    assert (errors > 0).float().mean() > 0.7 and errors.max() < 10**-1.8
    assert all(one.shape == color.shape and one.min() >= 0 and one.max() <= 1 for one in changed)


def test_an_imperceptible_degradation_is_one(crops):
    color = crops[0][..., :3]
    for seed in range(30):
        trace = (add_imperceptible_degradation(color, np.random.default_rng(seed)) - color) * 255
        assert 0 < trace.square().mean().sqrt() < 2.01 and trace.abs().max() < 10.01


def test_a_part_of_the_picture_stays_clean():
    clean, degraded = torch.zeros(64, 64, 3), torch.ones(64, 64, 3)
    for seed in range(12):
        mixed = restrict_to_part(clean, degraded, np.random.default_rng(seed))
        assert 0.4 < mixed.mean() < 0.9
