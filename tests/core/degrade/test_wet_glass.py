from __future__ import annotations

import pytest
import torch

from autodir_core.degrade import degrade, list_kinds
from autodir_core.degrade.draws import Draw
from autodir_core.degrade.wet_glass import _draw_droplets


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
