"""Water on the glass in front of the lens: drops that show the scene upside down, and what is out of focus or runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.filters import binomial_blur, box_blur, box_downscale, convolve, disc_kernel, resample
from .blur import apply_psf, gaussian_psf
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


def soft(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Put blurred discs in front of [3, H, W] in 0..1, drops far out of focus: the scene behind them only as a color.

    The circle of confusion of a drop near the lens is larger than the drop (Roser and Geiger, 2009).
    """
    mask = _draw_discs(draw, image, draw.log_level(severity, 0.06, 0.5), largest=0.2)
    return _blend_blurred(image, draw, mask)


def droplets(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Cover [3, H, W] in 0..1 with dense fine droplets, spray or condensation, each a small lens."""
    size = image.shape[1], image.shape[2]
    relief = torch.zeros(size)
    for _ in range(2):
        cell = draw.log_uniform(8.0, 20.0)
        relief = torch.maximum(relief, _draw_droplets(draw, size, cell, draw.log_level(severity, 0.12, 0.9)))
    return look_through(image, Glass(relief, _glints(draw, relief)), draw)


def running(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Let drops run down in front of [3, H, W] in 0..1 and leave wavering trails (Kaneda et al., 1993)."""
    size = image.shape[1], image.shape[2]
    relief, sparkle = torch.zeros(size), torch.zeros(size)
    for _ in range(round(draw.log_level(severity, 3.0, 18.0))):
        _add_trail(relief, sparkle, draw)
    return look_through(image, Glass(relief, sparkle), draw)


def film(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Look at [3, H, W] in 0..1 through a film of water: wavy and blurred in patches, clear in others."""
    size = image.shape[1], image.shape[2]
    height = draw.turbulence(size, draw.uniform(1.8, 2.6))
    coverage = draw.log_level(severity, 0.2, 0.75)
    wet = torch.sigmoid((height - torch.special.ndtri(torch.tensor(1 - coverage))) * draw.uniform(2.0, 8.0)).to(image)
    waves = draw.smooth_field(size, max(min(size) // draw.integer(8, 24), 2)) * draw.log_level(severity, 15.0, 60.0)
    wavy = refract(image, draw, torch.stack(torch.gradient(waves)).to(image))
    blurred = _defocus(wavy, draw.log_level(severity, 1.5, 4.5))
    return image + wet * (blurred - image)


def irregular(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Splash water of any outline in front of [3, H, W] in 0..1: what is above a level of smooth noise, as a lens."""
    size = image.shape[1], image.shape[2]
    sigma = min(draw.log_uniform(5.0, 20.0), min(size) / 4)
    above = _draw_splashes(draw, size, sigma, draw.log_level(severity, 0.08, 0.4))
    relief = above.clamp(0.0, 1.5) * sigma**2 * draw.log_uniform(0.3, 1.0)
    return look_through(image, Glass(relief, torch.zeros(size)), draw)


def dirty(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Splash milky or muddy water in front of [3, H, W] in 0..1: it hides the scene and shows a color of its own."""
    size = image.shape[1], image.shape[2]
    above = _draw_splashes(draw, size, draw.log_uniform(1.5, 8.0), draw.log_level(severity, 0.05, 0.35)).to(image)
    body = (above * draw.log_uniform(2.0, 12.0)).clamp(0.0, 1.0)
    tint = torch.tensor(draw.choice(((1.0, 1.0, 1.0), (1.0, 0.93, 0.75), (0.9, 0.75, 0.55), (0.85, 0.92, 1.0))))
    rim = draw.uniform(-0.3, 0.3) * (1 - (2 * above).clamp(0.0, 1.0))
    color = tint.view(3, 1, 1).to(image) * (draw.uniform(0.25, 0.95) + rim)
    return image + draw.uniform(0.5, 1.0) * body * (color - image)


def defocused(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Put refracting drops in front of [3, H, W] in 0..1, a little out of focus while the picture is sharp."""
    glass = draw_glass(draw, (image.shape[1], image.shape[2]), severity=severity)
    sigma = draw.log_uniform(1.5, 5.0)
    psf = gaussian_psf(sigma, sigma, 0.0)
    seen = apply_psf(look_through(image, glass, draw), psf)
    wet = apply_psf((glass.relief > 0).to(image)[None], psf, linear=False)
    return image + wet * (seen - image)


def mixed(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Put drops at two distances in front of [3, H, W] in 0..1: large ones out of focus and small ones in focus."""
    mask = _draw_discs(draw, image, draw.log_level(severity, 0.04, 0.3), largest=0.25)
    size = image.shape[1], image.shape[2]
    relief = _draw_droplets(draw, size, draw.log_uniform(14.0, 40.0), draw.log_level(severity, 0.15, 0.8))
    seen = look_through(image, Glass(relief, _glints(draw, relief)), draw)
    return _blend_blurred(seen, draw, mask)


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


def _draw_discs(draw: Draw, image: Tensor, coverage: float, *, largest: float) -> Tensor:
    """Draw soft discs [H, W] in 0..1 until they cover a fraction; radii up to `largest` of the shorter side."""
    size = image.shape[1], image.shape[2]
    top = max(largest * min(size), 3.0)
    surface, missing = torch.zeros(size), coverage * size[0] * size[1]
    while missing > 0:
        radius = draw.log_uniform(max(top / 5, 2.0), top)
        y, x = draw.uniform(0.0, size[0]), draw.uniform(0.0, size[1])
        missing -= merge_cap(surface, y, x, radius, peak=1.0)
    edge = draw.log_uniform(0.15, 0.8)
    return ((surface / edge).clamp(0.0, 1.0) * draw.uniform(0.7, 1.0)).to(image)


def _blend_blurred(image: Tensor, draw: Draw, mask: Tensor) -> Tensor:
    """Show what is behind `mask` [H, W] far out of focus, brighter by the sky or darker."""
    far = _defocus(image, draw.log_uniform(8.0, 40.0)) * draw.uniform(0.75, 1.15)
    seen = far + draw.uniform(0.0, 0.25) * (draw.uniform(0.7, 1.0) - far)
    return image + mask * (seen - image)


def _defocus(image: Tensor, factor: float) -> Tensor:
    """Blur [3, H, W] by about `factor` pixels: reduced and smoothly enlarged."""
    height, width = image.shape[1:]
    small = resample(image, (max(round(height / factor), 2), max(round(width / factor), 2)), kernel="linear")
    return resample(small, (height, width), kernel="cubic")


def _draw_droplets(draw: Draw, size: tuple[int, int], cell: float, probability: float) -> Tensor:
    """Draw the relief of round droplets [H, W], at most one per cell of `cell` pixels, all of them at once."""
    rows, columns = math.ceil(size[0] / cell), math.ceil(size[1] / cell) + 1
    radius = cell * (0.12 + 0.3 * draw.rand(rows, columns)) * (draw.rand(rows, columns) < probability)
    reach = (cell / 2 - radius).clamp_min(0.0)
    offset_y, offset_x = ((2 * draw.rand(rows, columns) - 1) * reach for _ in range(2))
    y, x = torch.arange(size[0]), torch.arange(size[1])
    row = (y / cell).long().clamp(max=rows - 1)[:, None]
    x = x + cell * draw.rand(rows)[row]  # every row of cells starts elsewhere, so that no columns show
    column = (x / cell).long().clamp(max=columns - 1)
    down = y[:, None] - (row + 0.5) * cell - offset_y[row, column]
    right = x - (column + 0.5) * cell - offset_x[row, column]
    return ((radius[row, column].square() - down.square() - right.square()) / 2).clamp_min(0.0)


def _add_trail(relief: Tensor, sparkle: Tensor, draw: Draw) -> None:
    """Merge one drop and the trail above it into both maps."""
    height, width = relief.shape
    radius = min(draw.log_uniform(4.0, 14.0), min(height, width) / 6)
    bottom = draw.uniform(0.2, 1.1) * height
    length = draw.uniform(0.3, 1.0) * height
    y = torch.arange(height)
    sway = draw.smooth_field((height, 2), max(height // 24, 2))[:, 0] - 0.5
    middle = draw.uniform(0.0, width) + 3 * radius * sway
    # thin out upwards, and bead into pearls here and there
    beads = 0.75 + 0.25 * torch.sin(y / draw.uniform(2.0, 5.0) + draw.uniform(0.0, 6.3))
    half = radius * draw.uniform(0.4, 0.8) * (1 - (bottom - y) / length).clamp(0.0, 1.0).sqrt() * beads * (y < bottom)
    right = torch.arange(width) - middle[:, None]
    torch.maximum(relief, (half.square()[:, None] - right.square()) / 2, out=relief)
    x = middle[min(max(round(bottom), 0), height - 1)].item()
    merge_cap(relief, bottom, x, radius)
    merge_cap(sparkle, bottom - 0.4 * radius, x, 0.25 * radius, peak=draw.uniform(0.4, 1.5))


def _draw_splashes(draw: Draw, size: tuple[int, int], sigma: float, coverage: float) -> Tensor:
    """Draw how far noise smoothed over `sigma` pixels is above the level that a fraction `coverage` of it exceeds."""
    height = apply_psf(draw.normal(1, *size), gaussian_psf(sigma, sigma, 0.0), linear=False)[0]
    height = (height - height.mean()) / height.std().clamp_min(1e-6) + 0.03 * draw.turbulence(size, 1.5)
    return height - torch.special.ndtri(torch.tensor(1 - coverage))


def _glints(draw: Draw, relief: Tensor) -> Tensor:
    """Return highlights [H, W] on the upper sides of some drops, or none."""
    if draw.chance(0.4):
        return torch.zeros_like(relief)
    rising = torch.gradient(relief)[0].clamp_min(0.0)
    top = rising.max().clamp_min(1e-3)
    return binomial_blur(((rising / top - 0.6) * draw.uniform(1.0, 3.0)).clamp_min(0.0)[None, None])[0, 0]
