from __future__ import annotations

import math

import pytest
import torch

from autodir_core.degrade import degrade, list_kinds
from autodir_core.degrade.draws import Draw
from autodir_core.degrade.rain import _draw_streaks


def test_rain_only_brightens_a_dark_picture() -> None:
    dark = torch.full((4, 64, 64, 3), 0.2)
    rain = degrade(dark, "rain", kind="standard")
    assert (rain >= dark - 1e-5).all()
    assert (rain > 0.4).float().mean() > 0.005


def test_streaks_run_within_forty_degrees_of_vertical() -> None:
    """The structure tensor of the streaks points across them."""
    for seed in range(6):
        streaks = _draw_streaks(Draw(seed, "rain"), 0.5, (128, 128))
        down, right = torch.gradient(streaks)
        across = 0.5 * math.atan2(2 * (down * right).sum().item(), (right.square() - down.square()).sum().item())
        assert abs(math.degrees(across)) < 42


def test_streaks_are_structured() -> None:
    streaks = _draw_streaks(Draw(3, "rain"), 0.5, (128, 128))
    assert 0.02 < (streaks > 0.15).float().mean() < 0.5
    assert streaks.max() > 0.4 and streaks.median() < 0.05


@pytest.mark.parametrize("kind", [kind for kind in list_kinds("rain") if kind not in ("dense", "overcast", "flash")])
def test_no_kind_darkens_a_dark_picture(kind: str) -> None:
    dark = torch.full((4, 64, 64, 3), 0.2)
    rain = degrade(dark, "rain", kind=kind, severity=0.8)
    assert (rain >= dark - 1e-4).all() and (rain > 0.3).any()


def test_dense_strokes_are_opaque() -> None:
    """Whatever lies behind a stroke, little of it is seen."""
    black, gray = (degrade(torch.full((6, 96, 96, 3), v), "rain", kind="dense", severity=0.7) for v in (0.0, 0.5))
    strokes = black > 0.5
    assert 0.02 < strokes.float().mean() < 0.4
    assert (gray - black)[strokes].mean() < 0.25


def test_severe_thin_rain_has_more_strokes_than_mild() -> None:
    dark = torch.full((4, 96, 96, 3), 0.2)
    mild, severe = (degrade(dark, "rain", kind="thin", severity=s) > 0.22 for s in (0.0, 1.0))
    assert severe.float().mean() > 2 * mild.float().mean()


def test_flash_shows_wide_even_opaque_strokes() -> None:
    """Unlike a thin streak's, most of a stroke's pixels are as bright as its brightest, whatever lies behind it."""
    black, gray = (degrade(torch.full((6, 96, 96, 3), v), "rain", kind="flash", severity=0.8) for v in (0.0, 0.5))
    strokes = black > 0.75 * black.amax((1, 2, 3), keepdim=True)
    assert 0.02 < strokes.float().mean() < 0.5
    assert (gray - black)[strokes].mean() < 0.15
