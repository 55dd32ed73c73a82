from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autodir_core.degrade import degrade, list_kinds
from autodir_core.degrade.draws import Draw
from autodir_core.degrade.haze import _draw_depth, haze


def test_haze_at_depth_zero_is_clear(scene: Tensor) -> None:
    assert torch.allclose(
        degrade(scene, "haze", severity=1.0, kind="standard", depth=torch.zeros(4, 96, 128)), scene, atol=1e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_haze_moves_every_color_towards_the_airlight(seed: int) -> None:
    near, middle, far = (
        degrade(torch.full((1, 16, 16, 3), 0.2), "haze", seed=seed, kind="standard", depth=torch.full((1, 16, 16), d))
        for d in (0.0, 0.5, 1.0)
    )
    assert (near < middle).all() and (middle < far).all() and (far < 1.0).all()
    assert middle.std((1, 2)).max() < 1e-6


def test_haze_is_koschmieders_law() -> None:
    """Two scenes under one air give A and t: I1 - I2 = t (J1 - J2), and t(d) is exponential."""

    def at(value: float, depth: float) -> Tensor:
        return haze(torch.full((3, 4, 4), value), Draw(1, "haze"), severity=0.5, depth=torch.full((4, 4), depth))

    half, whole = ((at(0.8, d) - at(0.2, d)) / 0.6 for d in (0.5, 1.0))
    assert torch.allclose(half.square(), whole, atol=1e-5)
    airlight = (at(0.2, 1.0) - 0.2 * whole) / (1 - whole)
    assert airlight.min() > 0.67 and airlight.max() <= 1.0
    assert (airlight.amax(0) - airlight.amin(0)).max() < 0.06


def test_drawn_depth_is_smooth_and_in_range() -> None:
    for seed in range(8):
        depth = _draw_depth(Draw(seed, "haze"), 64, 96)
        assert depth.shape == (64, 96)
        assert depth.min() >= 0.1 and depth.max() <= 1.0
        assert depth[:16].mean() > depth[-16:].mean() - 0.3
        assert depth.diff(dim=0).abs().max() < 0.1


@pytest.mark.parametrize("kind", list_kinds("haze"))
def test_every_kind_lowers_contrast_and_lifts_the_dark(scene: Tensor, kind: str) -> None:
    hazy = degrade(scene, "haze", kind=kind, severity=0.7, seed=3)
    assert hazy.std((1, 2, 3)).mean() < 0.9 * scene.std((1, 2, 3)).mean()
    assert (hazy.amin(-1).mean((1, 2)) > scene.amin(-1).mean((1, 2)) + 0.03).all()


@pytest.mark.parametrize("kind", ["standard", "horizon", "planes", "colored"])
def test_a_given_depth_is_used(scene: Tensor, kind: str) -> None:
    near = degrade(scene, "haze", kind=kind, severity=1.0, depth=torch.zeros(4, 96, 128))
    assert torch.allclose(near, scene, atol=1e-6)


def test_colored_air_has_a_color() -> None:
    gray = torch.full((12, 32, 32, 3), 0.4)
    tints = degrade(gray, "haze", kind="colored", severity=1.0).mean((1, 2))
    assert (tints.amax(1) - tints.amin(1) > 0.04).float().mean() > 0.8


def test_puffs_of_smoke_leave_some_of_the_scene_clear(scene: Tensor) -> None:
    dark = torch.zeros(8, 96, 128, 3)
    smoke = degrade(dark, "haze", kind="smoke", severity=0.6).mean(-1)
    assert (smoke.amax((1, 2)) > 3 * smoke.amin((1, 2)) + 0.1).float().mean() > 0.8


def test_smoke_blurs_what_is_behind_it() -> None:
    """Fine detail fades more than the transmission alone would make it."""

    def smoke(image: Tensor) -> Tensor:
        return degrade(image, "haze", kind="smoke", severity=1.0)

    texture = torch.rand(8, 96, 128, 3, generator=torch.Generator().manual_seed(0))
    detail, before = (x.diff(dim=1).std((1, 2, 3)) for x in (smoke(texture), texture))
    transmission = (smoke(torch.ones_like(texture)) - smoke(torch.zeros_like(texture))).mean((1, 2, 3))
    assert (detail / before < 0.98 * transmission).all()
