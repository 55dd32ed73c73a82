from __future__ import annotations

import pytest
import torch

from autodir_core.degrade import degrade, list_kinds
from autodir_core.degrade.blur import apply_psf, blur, gaussian_psf
from autodir_core.degrade.draws import Draw


@pytest.mark.parametrize("seed", range(4))
def test_constant_picture_is_not_blurred(seed: int) -> None:
    gray = torch.full((1, 48, 48, 3), 0.6)
    assert torch.allclose(degrade(gray, "blur", kind="standard", severity=1.0, seed=seed), gray, atol=1e-4)


def test_light_is_mixed_linearly() -> None:
    """Fine black and white stripes blur to the gray of half their light, sqrt(1 / 2), not to half their value."""
    stripes = (torch.arange(128) % 2).float().expand(3, 128, 128)
    for seed in range(6):
        blurred = blur(stripes, Draw(seed, "blur"), severity=1.0)[:, 32:-32, 32:-32]
        assert blurred.mean().item() == pytest.approx(0.5**0.5, abs=0.05)


def test_energy_is_kept() -> None:
    point = torch.zeros(3, 96, 96)
    point[:, 48, 48] = 1.0
    for seed in range(6):
        blurred = blur(point, Draw(seed, "blur"), severity=0.5)
        assert torch.allclose(blurred.square().sum((1, 2)), torch.ones(3), atol=2e-3)


def test_kinds_differ() -> None:
    """Both round (defocus) and elongated (motion) point images occur."""
    point = torch.zeros(3, 96, 96)
    point[:, 48, 48] = 1.0
    line = torch.arange(96) - 48.0
    ratios = []
    for seed in range(16):
        light = blur(point, Draw(seed, "blur"), severity=0.5)[0].square()
        xx, yy = light.sum(0) @ line.square(), light.sum(1) @ line.square()
        xy = line @ light @ line
        roots = torch.linalg.eigvalsh(torch.stack([torch.stack([xx, xy]), torch.stack([xy, yy])]))
        ratios.append((roots[1] / roots[0]).item())
    assert sum(ratio < 1.2 for ratio in ratios) >= 3
    assert sum(ratio > 5 for ratio in ratios) >= 3


@pytest.mark.parametrize("kind", list_kinds("blur"))
def test_no_kind_changes_a_flat_picture(kind: str) -> None:
    gray = torch.full((3, 40, 56, 3), 0.6)
    assert torch.allclose(degrade(gray, "blur", kind=kind, severity=1.0, seed=2), gray, atol=2e-3)


@pytest.mark.parametrize("kind", [kind for kind in list_kinds("blur") if kind != "sharpened"])
def test_every_kind_smooths(kind: str) -> None:
    texture = torch.rand(4, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    blurred = degrade(texture, "blur", kind=kind, severity=0.7, seed=1)
    assert blurred.diff(dim=1).abs().mean() < 0.8 * texture.diff(dim=1).abs().mean()


def test_a_moving_object_leaves_the_rest_sharp() -> None:
    texture = torch.rand(6, 96, 96, 3, generator=torch.Generator().manual_seed(0))
    same = (degrade(texture, "blur", kind="moving object", severity=1.0) - texture).abs().amax(-1) < 1e-5
    assert ((same.float().mean((1, 2)) > 0.1) & (same.float().mean((1, 2)) < 0.9)).all()


def test_sharpening_leaves_halos() -> None:
    """Beside an edge the picture is darker than dark and brighter than bright."""
    edge = torch.where(torch.arange(96) < 48, 0.3, 0.7)[None, None, :, None].expand(6, 96, 96, 3)
    halo = degrade(edge, "blur", kind="sharpened", severity=0.5)
    assert halo.amin((1, 2, 3)).max() < 0.29 and halo.amax((1, 2, 3)).min() > 0.71


def test_a_point_spread_function_may_be_larger_than_the_picture() -> None:
    picture = torch.rand(3, 9, 200, generator=torch.Generator().manual_seed(0))
    blurred = apply_psf(picture, gaussian_psf(8.0, 8.0, 0.0), linear=False)
    assert blurred.shape == picture.shape
    assert torch.allclose(blurred.mean((1, 2)), picture.mean((1, 2)), atol=0.02)
