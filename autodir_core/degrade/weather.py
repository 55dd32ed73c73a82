"""What hangs or falls between the scene and the camera: haze and rain."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..imaging.filters import convolve_circular, line_kernel, resample
from .draws import Draw

HAZE_BETA = (0.3, 1.1, 2.6)
"""Scattering over the whole depth range 0..1."""
RAIN_AMOUNT = (0.4, 1.0, 2.0)
"""Streaks per 1000 pixels in each layer."""
RAIN_LENGTH = (12.0, 22.0, 40.0)
RAIN_STRENGTH = (0.35, 0.6, 0.95)
RAIN_VEIL = (0.02, 0.07, 0.18)


def haze(image: Tensor, draw: Draw, *, severity: float, depth: Tensor | None = None) -> Tensor:
    """Scatter light over [3, H, W]: J t + A (1 - t), t = exp(-beta depth), depth [H, W] from 0 near to 1 far.

    Without `depth` a ground plane with smooth relief is drawn. Source: Koschmieder's law, as in He et al., 2009.
    """
    beta = draw.level(severity, HAZE_BETA)
    grey = draw.uniform(0.7, 1.0)
    airlight = (grey + 0.025 * (2 * draw.rand(3, 1, 1) - 1)).clamp(0.0, 1.0).to(image)
    if depth is None:
        depth = _draw_depth(draw, image.shape[-2], image.shape[-1]).to(image)
    transmission = torch.exp(-beta * depth)
    return airlight + (image - airlight) * transmission


def rain(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Screen layers of streaks and a light veil over [3, H, W] in 0..1."""
    streaks = _draw_streaks(draw, severity, (image.shape[-2], image.shape[-1])).to(image)
    veil = draw.level(severity, RAIN_VEIL)
    light = draw.uniform(0.75, 1.0)
    veiled = image + (light - image).clamp_min(0.0) * veil
    return veiled + (1 - veiled) * light * streaks


def _draw_depth(draw: Draw, height: int, width: int) -> Tensor:
    """Draw a tilted ground that runs to a horizon, under a smooth relief: [height, width] in 0.1..1."""
    y = torch.linspace(0.0, 1.0, height)[:, None]
    x = torch.linspace(-0.5, 0.5, width)[None, :]
    horizon = draw.uniform(-0.2, 0.5)
    ground = 1 - ((y - horizon + draw.uniform(-0.5, 0.5) * x) / (1 - horizon)).clamp(0.0, 1.0)
    coarse = draw.rand(1, draw.integer(2, 5), draw.integer(2, 5))
    relief = resample(coarse, (height, width), kernel="cubic")[0]
    weight = draw.uniform(0.2, 0.6)
    return ((1 - weight) * ground + weight * relief).clamp(0.0, 1.0) * 0.9 + 0.1


def _draw_streaks(draw: Draw, severity: float, size: tuple[int, int]) -> Tensor:
    """Draw the opacity of all streaks, [H, W] in 0..1: far layers many, short and thin, near ones few, long, wide."""
    angle = math.pi / 2 + math.radians(draw.uniform(-35.0, 35.0))
    length = min(draw.level(severity, RAIN_LENGTH), min(size) / 3)
    amount = draw.level(severity, RAIN_AMOUNT)
    strength = draw.level(severity, RAIN_STRENGTH)
    total = torch.zeros(size)
    for nearness in torch.linspace(0.6, 1.4, draw.integer(2, 4)).tolist():
        tilt = math.radians(draw.uniform(-4.0, 4.0))
        kernel = line_kernel(length * nearness, angle + tilt, width=max(nearness * draw.uniform(0.8, 1.4), 1.0))
        drops = _scatter(draw, size, amount / nearness**3)
        total += convolve_circular(drops, kernel / kernel.max()) * (strength * nearness)
    return total.clamp(0.0, 0.9)


def _scatter(draw: Draw, size: tuple[int, int], per_thousand: float) -> Tensor:
    """Draw points of random brightness on black: [H, W]."""
    height, width = size
    count = max(round(per_thousand * height * width / 1000), 1)
    places = (draw.rand(count) * (height * width)).long()
    return torch.zeros(height * width).index_put((places,), 0.3 + 0.7 * draw.rand(count)).view(height, width)
