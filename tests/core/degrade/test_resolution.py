from __future__ import annotations

import pytest
import torch

from autodir_core.degrade import degrade, list_kinds


@pytest.mark.parametrize("seed", range(6))
def test_constant_picture_stays_constant(seed: int) -> None:
    gray = torch.full((1, 45, 62, 3), 0.3)
    assert torch.allclose(degrade(gray, "low resolution", kind="standard", severity=0.8, seed=seed), gray, atol=1e-5)


def test_fine_detail_is_lost() -> None:
    """Stripes of one pixel cannot survive a reduction by about four, apart from what nearest aliases."""
    stripes = (torch.arange(128) % 2).float()[None, :, None].expand(1, 128, 128)[..., None].expand(16, 128, 128, 3)
    contrast = degrade(stripes, "low resolution", kind="standard", severity=0.5).std((1, 2, 3))
    assert contrast.median() < 0.05


@pytest.mark.parametrize(
    "kind", [kind for kind in list_kinds("low resolution") if kind not in ("noisy", "second order")]
)
def test_no_kind_changes_a_flat_picture(kind: str) -> None:
    gray = torch.full((3, 45, 62, 3), 128 / 255)
    assert torch.allclose(degrade(gray, "low resolution", kind=kind, severity=0.8), gray, atol=0.01)


def test_pixelated_pictures_are_blocks() -> None:
    """Most neighbors are equal; enlarged in another way none are."""
    texture = torch.rand(4, 96, 96, 3, generator=torch.Generator().manual_seed(0))
    blocks, smooth = (degrade(texture, "low resolution", kind=kind, severity=0.6) for kind in ("pixelated", "bicubic"))
    assert (blocks.diff(dim=1).abs() < 1e-6).float().mean() > 0.5 > (smooth.diff(dim=1).abs() < 1e-6).float().mean()


def test_aliasing_keeps_the_contrast_that_a_filter_loses() -> None:
    texture = torch.rand(4, 96, 96, 3, generator=torch.Generator().manual_seed(0))
    aliased, filtered = (degrade(texture, "low resolution", kind=kind, severity=0.5) for kind in ("aliased", "bicubic"))
    assert aliased.std() > 1.5 * filtered.std()


def test_anisotropic_pictures_lose_one_direction_more() -> None:
    texture = torch.rand(8, 96, 96, 3, generator=torch.Generator().manual_seed(0))
    soft = degrade(texture, "low resolution", kind="anisotropic", severity=0.5)
    down, right = (soft.diff(dim=dim).abs().mean((1, 2, 3)) for dim in (1, 2))
    assert ((down / right).log().abs() > 0.2).all()
