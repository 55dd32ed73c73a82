"""What makes crops look like photographs: it changes colours only, stays in range, and repeats with its seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autodir_lab.training.data.augment import PLAIN, Variety, varied


@pytest.fixture
def crops():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 64, 64, 4, generator=generator)


@pytest.mark.parametrize("way", ["relief", "focus", "camera", "patches", "dusk", "jpeg"])
def test_each_way_changes_colours_and_nothing_else(crops, way):
    crop, other = crops
    first, again = (varied(crop, lambda: other, np.random.default_rng(5), Variety(**{way: 1.0})) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(first[..., 3], crop[..., 3]), "the depth belongs to the scene"
    assert first.min() >= 0 and first.max() <= 1
    assert (first - crop)[..., :3].abs().max() > 0.01


def test_without_variety_a_crop_stays(crops):
    def another():
        pytest.fail("no second crop is needed")

    assert torch.equal(varied(crops[0], another, np.random.default_rng(5), PLAIN), crops[0])


def test_dusk_is_dark_but_its_lights_stay_bright():
    """Grey becomes dark; white keeps what the tint leaves of it, at least 0.6."""
    half = torch.full((256, 256, 4), 0.5)
    half[:, 128:, :3] = 1.0
    evening = varied(half, lambda: half, np.random.default_rng(8), Variety(dusk=1.0))[..., :3]
    assert evening[:, :128].median() < 0.4
    assert evening[:, 128:].min() >= 0.6
