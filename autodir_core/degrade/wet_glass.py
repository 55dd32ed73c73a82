"""Water on the glass in front of the lens beyond single drops: out of focus, fine, running, in films and pools."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..imaging.filters import binomial_blur, resample
from .blur import apply_psf, gaussian_psf
from .draws import Draw
from .raindrops import Glass, draw_glass, look_through, merge_cap, refract


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
    height = apply_psf(draw.normal(1, *size), gaussian_psf(sigma, sigma, 0.0), linear=False)[0]
    height = (height - height.mean()) / height.std().clamp_min(1e-6) + 0.03 * draw.turbulence(size, 1.5)
    level = torch.special.ndtri(torch.tensor(1 - draw.log_level(severity, 0.08, 0.4)))
    relief = (height - level).clamp(0.0, 1.5) * sigma**2 * draw.log_uniform(0.3, 1.0)
    return look_through(image, Glass(relief, torch.zeros(size)), draw)


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


def _glints(draw: Draw, relief: Tensor) -> Tensor:
    """Return highlights [H, W] on the upper sides of some drops, or none."""
    if draw.chance(0.4):
        return torch.zeros_like(relief)
    rising = torch.gradient(relief)[0].clamp_min(0.0)
    top = rising.max().clamp_min(1e-3)
    return binomial_blur(((rising / top - 0.6) * draw.uniform(1.0, 3.0)).clamp_min(0.0)[None, None])[0, 0]
