"""The vision tower's initialization: its filters are a DCT over luminance and color differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autodir_core.networks.build import build_clip, vision_tower
from autodir_core.stages.biqa import CLIP_STD
from autodir_lab.training.init.dct_vision import dct_filters, init_dct_patch_embedding

COUNT, COLORED = 40, 10
STD = torch.tensor(CLIP_STD) / float(np.mean(CLIP_STD))


@pytest.fixture
def filters():
    """Filters [40, 3, 8, 8] that see the pixels themselves: CLIP divides them by its standard deviations."""
    return dct_filters(8, COUNT) / STD.view(1, 3, 1, 1)


def response(filters: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    return torch.einsum("fcyx,cyx->f", filters, image)


def test_filters_are_orthogonal_cosines_of_rising_frequency(filters):
    luminance = filters[: COUNT - COLORED].sum(dim=1).flatten(1)
    directions = torch.nn.functional.normalize(luminance, dim=1)
    assert torch.allclose(directions @ directions.T, torch.eye(COUNT - COLORED), atol=1e-5)
    orders = torch.tensor([0.0, 1, 1, 2, 2, 2, 3, 3, 3, 3])
    assert torch.allclose(luminance[:10].norm(dim=1), 0.05 + 0.15 * orders, atol=1e-5), "stronger with the frequency"
    n = torch.arange(8.0)
    for number, frequency in ((1, 1), (3, 2)):  # along x, after 0 of all orders below
        cosine = torch.cos(torch.pi * (2 * n + 1) * frequency / 16)
        expected = torch.nn.functional.normalize(cosine.repeat(8), dim=0)
        assert torch.allclose(directions[number], expected, atol=1e-5), frequency


def test_the_first_filter_alone_sees_brightness(filters):
    seen = response(filters, torch.ones(3, 8, 8)).abs()
    assert seen[0] > 0.1
    assert seen[1:].max() < 1e-5


def test_filters_of_luminance_come_first_then_blue_and_red_in_turn(filters):
    """A checkered picture in one color is seen with that color's weight in each."""
    image = (-1.0) ** (torch.arange(8)[:, None] + torch.arange(8)) + 1
    weights = torch.stack([response(filters, image * torch.eye(3)[color].view(3, 1, 1)) for color in range(3)], dim=1)
    proportions = torch.nn.functional.normalize(weights, dim=1)
    for number, color in ((0, (0.3, 0.6, 0.1)), (-10, (-0.3, -0.6, 0.9)), (-9, (0.7, -0.6, -0.1))):
        expected = torch.nn.functional.normalize(torch.tensor(color), dim=0)
        assert torch.allclose(proportions[number], expected, atol=1e-4), color


@torch.no_grad()
def test_the_tower_measures_how_strong_a_frequency_is(small):
    """What the first block adds behind a coefficient is its magnitude, whatever its sign."""
    torch.manual_seed(0)
    clip = build_clip(small.config.clip)
    init_dct_patch_embedding(clip)
    visual, count = vision_tower(clip), 44  # coefficients that 96 channels have room for
    coefficients = torch.zeros(2, visual.conv1.out_channels)
    coefficients[:, 5] = torch.tensor([2.0, -2.0])
    magnitudes = visual.transformer.resblocks[0].mlp(coefficients)[:, count : 2 * count]
    assert magnitudes[:, 5].tolist() == pytest.approx([2.0, 2.0], abs=0.1)
    magnitudes[:, 5] = 0
    assert magnitudes.abs().max() < 0.3
