from __future__ import annotations

import pytest
import torch

from autodir_core.degrade import degrade, list_kinds


@pytest.mark.parametrize(("severity", "low", "high"), [(0.0, 0.35, 0.48), (1.0, 0.09, 0.15)])
def test_underexposed_white_shows_the_gain(severity: float, low: float, high: float) -> None:
    dark = degrade(torch.ones(8, 32, 32, 3), "underexposure", kind="standard", severity=severity).mean((1, 2, 3))
    assert low < dark.min() and dark.max() < high


def test_underexposure_is_stored_in_eight_bits() -> None:
    levels = degrade(torch.rand(2, 32, 32, 3), "underexposure", kind="standard") * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)


@pytest.mark.parametrize("kind", list_kinds("underexposure"))
def test_every_kind_darkens_and_none_brightens_much(kind: str) -> None:
    picture = torch.rand(6, 48, 48, 3, generator=torch.Generator().manual_seed(0))
    dark = degrade(picture, "underexposure", kind=kind, severity=0.6)
    assert (dark.mean((1, 2, 3)) < 0.85 * picture.mean((1, 2, 3))).all()
    levels = dark * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3), "stored in eight bits"


def test_a_subtracted_black_clips_the_shadows() -> None:
    ramp = torch.linspace(0, 1, 64)[None, None, :, None].expand(6, 16, 64, 3)
    dark = degrade(ramp, "underexposure", kind="black level", severity=0.5)
    assert (dark[:, :, :12] < 0.03).all() and (dark[:, :, -4:].mean((1, 2, 3)) > 0.3).all()


def test_gamma_leaves_white() -> None:
    white = degrade(torch.ones(4, 16, 16, 3), "underexposure", kind="gamma", severity=1.0)
    assert white.mean() > 0.98


def test_backlight_leaves_a_bright_part() -> None:
    picture = torch.full((12, 96, 96, 3), 0.8)
    dark = degrade(picture, "underexposure", kind="backlit", severity=0.8).mean(-1)
    spread = dark.amax((1, 2)) - dark.amin((1, 2))
    assert spread.median() > 0.3
