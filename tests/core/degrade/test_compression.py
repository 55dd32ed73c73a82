from __future__ import annotations

import torch
from torch import Tensor

from autodir_core.degrade import degrade


def blockiness(pictures: Tensor) -> Tensor:
    """Jumps between neighboring rows at the borders of 8-pixel blocks, over those elsewhere; [B]."""
    jumps = (pictures[:, 1:] - pictures[:, :-1]).abs().mean((2, 3))
    at_borders = torch.arange(1, pictures.shape[1]) % 8 == 0
    return jumps[:, at_borders].mean(1) / jumps[:, ~at_borders].mean(1)


def test_severe_compression_shows_its_blocks(scene: Tensor) -> None:
    assert (
        blockiness(degrade(scene, "jpeg artifact", kind="standard", severity=1.0)).mean()
        > 1.3 * blockiness(scene).mean()
    )


def test_a_flat_picture_stays_flat() -> None:
    gray = torch.full((1, 40, 51, 3), 128 / 255)
    assert (degrade(gray, "jpeg artifact", kind="standard", severity=1.0) - gray).abs().max() < 0.02


def test_fine_color_is_smeared_more_than_fine_light() -> None:
    """Stripes of one pixel: in brightness they stay, between red and green of one brightness most are lost."""
    stripes = (torch.arange(64) % 2).float()[None, None, :].expand(8, 64, 64) - 0.5
    light = 0.5 + 0.4 * stripes[..., None].expand(8, 64, 64, 3)
    hue = 0.5 + torch.stack([0.4 * stripes, -0.4 * 0.299 / 0.587 * stripes, 0 * stripes], dim=-1)
    left = [
        degrade(x, "jpeg artifact", kind="standard", severity=0.0).std(2).mean() / x.std(2).mean() for x in (light, hue)
    ]
    assert left[0] > 2 * left[1]


def test_a_shift_between_two_compressions_breaks_the_grid(scene: Tensor) -> None:
    """The strong grid is elsewhere than at multiples of eight."""
    shifted, aligned = (degrade(scene, "jpeg artifact", kind=kind, severity=1.0) for kind in ("shifted", "standard"))
    assert blockiness(shifted).mean() < 0.8 * blockiness(aligned).mean()
