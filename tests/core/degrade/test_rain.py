from __future__ import annotations

import math

import torch

from autodir_core.degrade import degrade
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
