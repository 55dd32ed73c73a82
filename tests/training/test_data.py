"""What makes crops look like photographs: it changes colours only, stays in range, and repeats with its seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autodir_core.training.data import Variety, varied


@pytest.fixture
def crops():
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(64, 64, 4, generator=generator) for _ in range(3)]


@pytest.mark.parametrize("way", ["relief", "focus", "camera", "patches", "jpeg"])
def test_each_way_changes_colours_and_nothing_else(crops, way):
    first, again = (varied(crops, np.random.default_rng(5), Variety(**{way: 1.0})) for _ in range(2))
    assert torch.equal(first, again)
    before = torch.stack(crops)
    assert torch.equal(first[..., 3], before[..., 3]), "the depth belongs to the scene"
    assert first.min() >= 0 and first.max() <= 1
    assert all((after - crop)[..., :3].abs().max() > 0.01 for after, crop in zip(first, crops, strict=True))


def test_without_variety_crops_stay(crops):
    assert torch.equal(varied(crops, np.random.default_rng(5), Variety()), torch.stack(crops))
