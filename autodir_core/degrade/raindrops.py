"""Drops on the glass in front of the lens: each a small lens that shows the scene upside down."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.filters import box_blur, box_downscale, convolve, disc_kernel
from .draws import Draw, between

MIN_COVERAGE = (0.08, 0.2, 0.35)
"""The fraction of the picture that drops cover at least, at severity 0, 0.5 and 1."""
MIN_RADIUS = 8.0
MAX_RADIUS = (14.0, 24.0, 40.0)
"""The main circle's radius in pixels; pictures under about 200 pixels get at most a sixth of their shorter side."""
MELT = 4.0
"""The radius in pixels over which the slopes of merged circles blend."""


@dataclass(frozen=True)
class Glass:
    """Water on the glass: `relief` [H, W], (r^2 - d^2) / 2 inside a drop and 0 outside; `sparkle` [H, W], 0 or more."""

    relief: Tensor
    sparkle: Tensor

    @property
    def coverage(self) -> float:
        """The fraction of the picture under water."""
        return (self.relief > 0).float().mean().item()


def raindrop(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Put refracting drops in front of [3, H, W] in 0..1; not clamped. They cover `MIN_COVERAGE` at least."""
    glass = draw_glass(draw, (image.shape[-2], image.shape[-1]), severity=severity)
    return look_through(image, glass, draw)


def draw_glass(draw: Draw, size: tuple[int, int], *, severity: float) -> Glass:
    """Draw drops of merged circles until they cover what `severity` in 0..1 asks for; on the CPU."""
    relief, sparkle = torch.zeros(size), torch.zeros(size)
    missing = between(severity, MIN_COVERAGE) * draw.uniform(1.05, 1.25) * relief.numel()
    while missing > 0:
        missing -= _add_drop(relief, sparkle, draw, _draw_radius(draw, severity, min(size)))
    return Glass(relief, sparkle)


def _draw_radius(draw: Draw, severity: float, side: int) -> float:
    largest = min(draw.level(severity, MAX_RADIUS), side / 6)
    return draw.log_uniform(min(MIN_RADIUS, largest / 2), largest)


def _add_drop(relief: Tensor, sparkle: Tensor, draw: Draw, radius: float) -> int:
    """Merge one irregular drop into both maps; return the number of pixels newly covered."""
    height, width = relief.shape
    y, x = draw.uniform(0.0, height), draw.uniform(0.0, width)
    covered = merge_cap(relief, y, x, radius)
    for _ in range(draw.integer(2, 5)):
        # Water hangs: the lobes lie below the middle more often than above it.
        direction = draw.uniform(-0.25, 1.25) * math.pi
        lobe = radius * draw.uniform(0.5, 0.95)
        reach = radius * draw.uniform(0.25, 0.6)
        covered += merge_cap(relief, y + reach * math.sin(direction), x + reach * math.cos(direction), lobe)
    if draw.chance(0.6):
        glint = radius * draw.uniform(0.1, 0.3)
        offset = radius * draw.uniform(-0.5, 0.4)
        merge_cap(sparkle, y - 0.4 * radius, x + offset, glint, peak=draw.uniform(0.4, 1.5))
    return covered


def merge_cap(surface: Tensor, y: float, x: float, radius: float, *, peak: float | None = None) -> int:
    """Raise `surface` in place to a cap (r^2 - d^2) / 2, or one `peak` high; return the pixels raised from 0."""
    top, left = max(math.ceil(y - radius), 0), max(math.ceil(x - radius), 0)
    patch = surface[top : max(math.floor(y + radius) + 1, 0), left : max(math.floor(x + radius) + 1, 0)]
    down = torch.arange(top, top + patch.shape[0]) - y
    right = torch.arange(left, left + patch.shape[1]) - x
    cap = (radius**2 - down.square()[:, None] - right.square()) / 2
    if peak is not None:
        cap = cap * (2 * peak / radius**2)
    fresh = ((patch <= 0) & (cap > 0)).sum().item()
    torch.maximum(patch, cap, out=patch)
    return int(fresh)


def look_through(image: Tensor, glass: Glass, draw: Draw) -> Tensor:
    """Return the picture as seen through the water on the glass."""
    relief = _soften(glass.relief.to(image.device))
    slope = _melted_slope(relief)
    steepness = torch.hypot(slope[0], slope[1])
    # (r^2 - d^2) / 2 over its slope d is about the distance to the rim, whatever the drop's radius.
    to_rim = relief / (steepness + 0.1)
    inside = _smoothstep(to_rim / draw.uniform(1.2, 3.5))
    edge = torch.exp(-to_rim / draw.uniform(1.5, 4.5))
    from_below = -slope[0] / (steepness + 1.0)
    # The light of the sky leaves a drop below, so its rim is bright there and dark above.
    shade = 1 - draw.uniform(0.2, 0.6) * edge + draw.uniform(0.3, 0.7) * edge * from_below
    light = draw.uniform(0.2, 0.9) * _soften(_smoothstep(glass.sparkle.to(image.device)))
    drop = refract(image, draw, slope) * shade * draw.uniform(0.9, 1.2)
    return image + inside * (drop + light * (1 - drop) - image)


def _melted_slope(relief: Tensor) -> Tensor:
    """Return the slope of the water [2, H, W] along y and x, averaged inside the drops so that no seam shows."""
    wet = (relief > 0).to(relief)
    fields = torch.stack([*torch.gradient(relief), torch.ones_like(relief)]) * wet
    averaged = convolve(fields, disc_kernel(MELT, softness=MELT))
    return averaged[:2] / averaged[2].clamp_min(1e-3) * wet


def refract(image: Tensor, draw: Draw, slope: Tensor) -> Tensor:
    """Return the scene [3, H, W] through drops of slope [2, H, W]: inverted, reduced and out of focus."""
    height, width = image.shape[-2:]
    # A cap's slope is minus the offset from its middle: more than one slope away is the mirrored scene.
    power = draw.uniform(2.0, 3.4)
    y = torch.arange(height, device=image.device)[:, None] + power * slope[0]
    x = torch.arange(width, device=image.device)[None, :] + power * slope[1]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    # The drop shows a wide view in few pixels and is out of focus: a reduced copy holds all that can be seen.
    reduced = box_downscale(image[None], draw.integer(2, 4))
    return F.grid_sample(reduced, grid[None], padding_mode="reflection", align_corners=False)[0]


def _soften(field: Tensor) -> Tensor:
    return box_blur(field[None, None], 3)[0, 0]


def _smoothstep(x: Tensor) -> Tensor:
    x = x.clamp(0.0, 1.0)
    return x * x * (3 - 2 * x)
