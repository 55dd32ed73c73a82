from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autodir_core.degrade import degrade, list_kinds
from autodir_core.degrade.draws import Draw
from autodir_core.degrade.raindrops import Glass, _draw_droplets, draw_glass, look_through, merge_cap


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


def changed(kind: str, severity: float) -> torch.Tensor:
    """The fraction of each of eight pictures that water changes visibly."""
    texture = torch.rand(8, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    difference = (degrade(texture, "raindrop", kind=kind, severity=severity, seed=2) - texture).abs().amax(-1)
    return (difference > 0.03).float().mean((1, 2))


@pytest.mark.parametrize("kind", list_kinds("raindrop"))
def test_every_kind_covers_a_part_and_leaves_a_part(kind: str) -> None:
    mild, severe = changed(kind, 0.0), changed(kind, 1.0)
    assert mild.mean() > 0.03 and mild.max() < 0.75
    assert severe.mean() > 1.4 * mild.mean()


def test_soft_drops_hide_the_texture() -> None:
    texture = torch.rand(6, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    seen = degrade(texture, "raindrop", kind="soft", severity=1.0)
    assert seen.diff(dim=1).abs().mean() < 0.85 * texture.diff(dim=1).abs().mean()


def test_droplets_are_caps_of_at_most_half_a_cell() -> None:
    relief = _draw_droplets(Draw(0, "drops"), (90, 70), 12.0, 0.8)
    assert relief.shape == (90, 70) and relief.min() >= 0 and relief.max() <= 6.0**2 / 2
    assert 0.05 < (relief > 0).float().mean() < 0.6


def test_dirty_water_hides_the_scene() -> None:
    """What two scenes show in the splashes is nearly the same, outside they stay as they are."""
    black, white = torch.zeros(8, 128, 128, 3), torch.ones(8, 128, 128, 3)
    transparent = (degrade(white, "raindrop", kind="dirty") - degrade(black, "raindrop", kind="dirty")).mean(-1)
    assert ((transparent > 0.99).float().mean((1, 2)) > 0.5).all()
    assert (transparent.amin((1, 2)) < 0.6).all()
