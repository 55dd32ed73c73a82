"""Haze: light that the air scatters between the scene and the camera."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..imaging.filters import convolve, disc_kernel, resample
from .blur import apply_psf, gaussian_psf
from .draws import Draw

HAZE_BETA = (0.3, 1.1, 2.6)
"""Scattering over the whole depth range 0..1."""


def haze(image: Tensor, draw: Draw, *, severity: float, depth: Tensor | None = None) -> Tensor:
    """Scatter light over [3, H, W]: J t + A (1 - t), t = exp(-beta depth), depth [H, W] from 0 near to 1 far.

    Without `depth` a ground plane with smooth relief is drawn. Source: Koschmieder's law, as in He et al., 2009.
    """
    beta = draw.level(severity, HAZE_BETA)
    gray = draw.uniform(0.7, 1.0)
    airlight = (gray + 0.025 * (2 * draw.rand(3, 1, 1) - 1)).clamp(0.0, 1.0).to(image)
    if depth is None:
        depth = _draw_depth(draw, image.shape[-2], image.shape[-1]).to(image)
    transmission = torch.exp(-beta * depth)
    return airlight + (image - airlight) * transmission


def homogeneous(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Scatter the same light over all of [3, H, W] in 0..1: fog before a flat scene (He et al., 2009, t constant)."""
    transmission = math.exp(-draw.log_level(severity, 0.15, 1.4))
    return _scatter(image, _draw_airlight(draw, 0.6, 1.0), torch.tensor(transmission))


def horizon(image: Tensor, draw: Draw, *, severity: float, depth: Tensor | None = None) -> Tensor:
    """Thicken haze over [3, H, W] in 0..1 row by row up to a horizon, above which all is far.

    On a plane the distance grows as 1 / (rows below the horizon) (Tarel et al., 2010, FRIDA).
    """
    if depth is None:
        y = torch.linspace(0.0, 1.0, image.shape[1])[:, None].expand(image.shape[1:])
        x = torch.linspace(-0.5, 0.5, image.shape[2])
        below = y - draw.uniform(0.0, 0.5) + draw.uniform(-0.3, 0.3) * x
        nearest = draw.uniform(0.05, 0.3)
        depth = (nearest / below.clamp_min(nearest)).clamp(0.0, 1.0)
    return _scatter(image, _draw_airlight(draw, 0.6, 1.0), torch.exp(-draw.log_level(severity, 0.35, 3.2) * depth))


def planes(image: Tensor, draw: Draw, *, severity: float, depth: Tensor | None = None) -> Tensor:
    """Put haze over [3, H, W] in 0..1 whose depth has steps, as streets and houses have (RESIDE, Li et al., 2019)."""
    if depth is None:
        depth = _draw_planes(draw, image)
    return _scatter(image, _draw_airlight(draw, 0.6, 1.0), torch.exp(-draw.log_level(severity, 0.35, 3.2) * depth))


def luminance(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Put haze over [3, H, W] in 0..1 where it is bright and colorless: skies and distances mostly are.

    The depth is the smoothed dark channel of the clean picture (the prior of He et al., 2009, turned around).
    """
    small = _shrink(image.amin(0, keepdim=True), 24)
    dark = resample(small, (image.shape[1], image.shape[2]), kernel="cubic")[0]
    depth = (dark - dark.min()) / (dark.max() - dark.min()).clamp_min(1e-3)
    beta = draw.log_level(severity, 0.3, 2.2)
    return _scatter(image, _draw_airlight(draw, 0.6, 1.0), torch.exp(-beta * (draw.uniform(0.05, 0.4) + depth)))


def colored(image: Tensor, draw: Draw, *, severity: float, depth: Tensor | None = None) -> Tensor:
    """Scatter colored light over [3, H, W] in 0..1: bluish mist, brown smoke, yellow dust.

    Each wavelength has a scattering of its own (Narasimhan and Nayar, 2002).
    """
    tint = draw.choice(((0.75, 0.88, 1.0), (1.0, 0.85, 0.62), (1.0, 0.9, 0.75), (0.9, 1.0, 0.95)), (3, 3, 3, 1))
    airlight = torch.tensor(tint).view(3, 1, 1) * draw.uniform(0.45, 1.0) * (1 + 0.08 * (draw.rand(3, 1, 1) - 0.5))
    if depth is None:
        depth = _draw_depth(draw, image.shape[1], image.shape[2])
    beta = draw.log_level(severity, 0.3, 3.0) * (1 + 0.4 * (draw.rand(3, 1, 1) - 0.5))
    return _scatter(image, airlight, torch.exp(-beta.to(image) * depth.to(image)))


def patchy(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Let banks and wisps of fog drift over [3, H, W] in 0..1: turbulence (Perlin, 1985), more clear air than cloud.

    Half of the time the mist before everything blurs it (Narasimhan and Nayar, 2003).
    """
    size = image.shape[1], image.shape[2]
    if draw.chance(0.5):
        sigma = draw.log_level(severity, 0.6, 2.8)
        image = apply_psf(image, gaussian_psf(sigma, sigma, 0.0))
    cloud = torch.sigmoid(draw.uniform(1.0, 3.0) * draw.turbulence(size, draw.uniform(1.5, 2.4)))
    if draw.chance(0.5):
        cloud = cloud * _draw_depth(draw, *size)
    return _scatter(image, _draw_airlight(draw, 0.65, 1.0), torch.exp(-draw.log_level(severity, 0.4, 4.0) * cloud))


def smoke(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Let puffs of smoke or steam drift over [3, H, W] in 0..1; they blur what is behind them, or thin mist blurs all.

    Their optical depths add up (Beer's law), and light that is scattered forward softens what it carries (Narasimhan
    and Nayar, 2003).
    """
    size = image.shape[1], image.shape[2]
    coarse = max(size[0] // 4, 2), max(size[1] // 4, 2)
    depth = torch.zeros(1, *coarse)
    for _ in range(2):
        radius = min(draw.log_uniform(2.0, 12.0), min(coarse) / 2 - 0.5)
        sources = draw.rand(1, *coarse) * (draw.rand(1, *coarse) < draw.log_uniform(0.2, 2.0) / (radius + 1) ** 2)
        depth += convolve(sources, disc_kernel(radius, softness=draw.uniform(0.3, 1.0) * radius)) * (radius + 1) ** 2
    cloud = resample(depth, size, kernel="cubic")[0].clamp_min(0.0)
    if draw.chance(0.6):
        cloud = cloud * draw.smooth_field(size, draw.integer(2, 3))
    cloud = cloud / cloud.mean().clamp_min(1e-6)
    transmission = torch.exp(-draw.log_level(severity, 0.12, 0.9) * cloud).to(image)
    sigma = draw.uniform(0.0, 0.3) + draw.log_level(severity, 0.4, 2.8)
    soft = apply_psf(image, gaussian_psf(sigma, sigma, 0.0))
    everywhere = draw.uniform(0.3, 1.0) if draw.chance(0.6) else 0.0
    blurred = image + (1 - (1 - everywhere) * transmission.square()) * (soft - image)
    return _scatter(blurred, _draw_airlight(draw, 0.55, 1.0), transmission)


def scattering(image: Tensor, draw: Draw, *, severity: float, depth: Tensor | None = None) -> Tensor:
    """Scatter light over [3, H, W] in 0..1 many times: what is far blurs, lights glow (Narasimhan and Nayar, 2003)."""
    if depth is None:
        depth = _draw_depth(draw, image.shape[1], image.shape[2])
    transmission = torch.exp(-draw.log_level(severity, 0.4, 3.0) * depth.to(image))
    sigma = draw.uniform(0.6, 1.8)
    light = image.square()
    soft = apply_psf(light, gaussian_psf(sigma, sigma, 0.0), linear=False)
    lamps = (image - draw.uniform(0.75, 0.95)).clamp_min(0.0)
    glow = resample(_shrink(lamps, draw.integer(8, 24)), (image.shape[1], image.shape[2]), kernel="cubic")
    blurred = (transmission * light + (1 - transmission) * soft).clamp_min(0.0).sqrt()
    airlight = _draw_airlight(draw, 0.35, 0.95).to(image) + draw.uniform(0.3, 1.5) * glow.clamp_min(0.0)
    return _scatter(blurred, airlight, transmission)


def veil(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Pale [3, H, W] in 0..1: low contrast and saturation under a smooth veil, as dust, glare or thin mist leave it."""
    gray = image.mean(0, keepdim=True)
    pale = gray + (image - gray) * (1 - 0.6 * severity)
    field = draw.smooth_field((image.shape[1], image.shape[2]), draw.integer(2, 4))
    density = draw.log_level(severity, 0.12, 0.8) * (0.6 + 0.4 * field)
    return _scatter(pale, _draw_airlight(draw, 0.5, 0.95), 1 - density)


def _scatter(image: Tensor, airlight: Tensor, transmission: Tensor) -> Tensor:
    """Return J t + A (1 - t) of [3, H, W] in 0..1."""
    airlight, transmission = airlight.to(image), transmission.to(image)
    return airlight + (image - airlight) * transmission


def _draw_airlight(draw: Draw, low: float, high: float) -> Tensor:
    """Draw a nearly gray light [3, 1, 1]."""
    return (draw.uniform(low, high) + 0.05 * (draw.rand(3, 1, 1) - 0.5)).clamp(0.0, 1.0)


def _draw_planes(draw: Draw, image: Tensor) -> Tensor:
    """Draw depth [H, W] in 0..1 for the surfaces of [3, H, W]: 4 to 16 segments alike in place and color.

    Those higher in the picture are farther on average (segments as in SLIC, Achanta et al., 2012, in one pass).
    """
    height, width = image.shape[1:]
    small = _shrink(image.cpu(), 3)
    count = draw.integer(4, 16)
    rows, columns = (draw.rand(2, count) * torch.tensor([[small.shape[1]], [small.shape[2]]])).long()
    y, x = (torch.linspace(0.0, 1.0, side) for side in small.shape[1:])
    place = torch.stack([y[:, None].expand(small.shape[1:]), x.expand(small.shape[1:])])
    features = torch.cat([place, small * draw.uniform(1.0, 3.0)])
    nearest = (features[..., None] - features[:, rows, columns][:, None, None]).square().sum(0).argmin(-1)
    depth = (0.7 * (1 - y[rows]) + 0.5 * draw.rand(count)).clamp(0.05, 1.0)[nearest]
    return resample(depth[None], (height, width), kernel="linear")[0].to(image)


def _shrink(image: Tensor, factor: int) -> Tensor:
    """Average [C, H, W] over about `factor` pixels a side."""
    size = (max(image.shape[1] // factor, 2), max(image.shape[2] // factor, 2))
    return resample(image, size, kernel="area")


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
