from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autodir_core.degrade import degrade
from autodir_core.degrade.draws import Draw
from autodir_core.degrade.raindrops import Glass, draw_glass, look_through, merge_cap


@pytest.mark.parametrize(("severity", "least"), [(0.0, 0.08), (0.5, 0.2), (1.0, 0.35)])
@pytest.mark.parametrize("size", [(16, 16), (64, 96), (128, 128)])
def test_coverage_is_guaranteed(severity: float, least: float, size: tuple[int, int]) -> None:
    for seed in range(8):
        coverage = draw_glass(Draw(seed, "raindrop"), size, severity=severity).coverage
        assert least <= coverage < 1.5 * least + 0.15


def test_drops_change_what_they_cover() -> None:
    texture = torch.rand(6, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    changed = (degrade(texture, "raindrop", kind="standard", severity=0.0) - texture).abs().amax(-1) > 0.03
    assert changed.float().mean((1, 2)).min() >= 0.08


def test_dry_glass_changes_nothing(scene: Tensor) -> None:
    picture = scene[0].movedim(-1, 0)
    dry = Glass(relief=torch.zeros(96, 128), sparkle=torch.zeros(96, 128))
    assert torch.equal(look_through(picture, dry, Draw(0, "raindrop")), picture)


def test_drop_shows_the_scene_upside_down() -> None:
    """Over a picture bright above and dark below, a drop is dark above and bright below."""
    picture = (torch.arange(128) < 64).float()[None, :, None].expand(3, 128, 128)
    relief = torch.zeros(128, 128)
    merge_cap(relief, 63.5, 63.5, 30.0)
    seen = look_through(picture, Glass(relief, torch.zeros(128, 128)), Draw(0, "raindrop"))
    assert seen[:, 46:54, 60:68].mean() < 0.2
    assert seen[:, 74:82, 60:68].mean() > 0.7


def test_cap_counts_only_what_it_newly_covers() -> None:
    surface = torch.zeros(64, 64)
    first = merge_cap(surface, 30.0, 30.0, 10.0)
    assert first == pytest.approx(3.14159 * 100, rel=0.05)
    assert merge_cap(surface, 30.0, 30.0, 10.0) == 0
    assert surface[30, 30].item() == pytest.approx(50.0)
    assert merge_cap(surface, 30.0, 60.0, 10.0) < first
    assert (surface > 0).sum().item() > first


def test_cap_outside_the_picture_covers_nothing() -> None:
    surface = torch.zeros(32, 32)
    assert merge_cap(surface, -20.0, 50.0, 10.0) == 0
    assert surface.max() == 0
