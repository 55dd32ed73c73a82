"""The lens out of focus or moving."""

from __future__ import annotations

import math

from torch import Tensor

from ..imaging.filters import convolve, disc_kernel, line_kernel
from .draws import Draw

DEFOCUS_RADIUS = (0.9, 2.5, 6.0)
MOTION_LENGTH = (4.0, 11.0, 25.0)


def blur(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Blur [3, H, W] in 0..1 by defocus or motion, in nearly linear light."""
    kernel = _kernel(draw, severity, min(image.shape[-2:]))
    # A gamma of 2 is near enough to sRGB for highlights to bleed as light does, and costs a square root.
    return convolve(image.square(), kernel).clamp_min(0.0).sqrt()


def _kernel(draw: Draw, severity: float, side: int) -> Tensor:
    """Draw a point spread function small enough for a picture whose shorter side has `side` pixels."""
    if draw.chance(0.5):
        radius = min(draw.level(severity, DEFOCUS_RADIUS), side / 4)
        return disc_kernel(radius, softness=draw.uniform(0.8, 1.2))
    length = min(draw.level(severity, MOTION_LENGTH), side / 2)
    bend = draw.uniform(-0.25, 0.25) if draw.chance(0.5) else 0.0
    return line_kernel(length, draw.uniform(0.0, math.pi), bend=bend)
