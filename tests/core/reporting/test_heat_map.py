"""The heat map: which degradations it shows, and that what is hot stands out where it is."""

from __future__ import annotations

import torch

from autodir_core.reporting.heat_map import heat_map, overlay

LABELS = ("noise", "haze", "no")


def test_a_probable_place_is_brighter_and_warmer():
    probabilities = torch.zeros(4, 8)
    probabilities[:, 4:] = 1
    drawn = overlay(torch.full((1, 64, 128, 3), 0.5), probabilities)
    cold, hot = drawn[0, :, :48].mean((0, 1)), drawn[0, :, 80:].mean((0, 1))
    assert hot[0] > cold[0] + 0.3 and drawn.min() >= 0 and drawn.max() <= 1


def test_half_precision_is_drawn_too():
    drawn = heat_map(torch.rand(1, 24, 32, 3).half(), torch.rand(3, 2, 2), LABELS)
    assert drawn.dtype == torch.float32 and drawn.isfinite().all()


def test_only_degradations_that_are_somewhere_are_shown():
    image, nothing = torch.rand(1, 64, 96, 3), torch.zeros(3, 4, 6)
    nothing[2] = 1
    some = nothing.clone()
    some[0, 0, 0] = 0.8
    assert heat_map(image, some, LABELS).numel() > 1.5 * heat_map(image, nothing, LABELS).numel()
