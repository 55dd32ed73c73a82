"""Augmentations: they change colors only, stay in range, and repeat with their seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autodir_lab.training.data.augment import NO_AUGMENTATION, AugmentationProbs, augment


@pytest.fixture
def crops():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 64, 64, 4, generator=generator)


@pytest.mark.parametrize("name", ["shaded_objects", "depth_of_field", "camera_isp", "soft_patches", "low_key", "jpeg"])
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
    """Grey becomes dark; white keeps what the tint leaves of it, at least 0.6."""
    half = torch.full((256, 256, 4), 0.5)
    half[:, 128:, :3] = 1.0
    evening = augment(half, lambda: half, np.random.default_rng(8), AugmentationProbs(low_key=1.0))[..., :3]
    assert evening[:, :128].median() < 0.4
    assert evening[:, 128:].min() >= 0.6
