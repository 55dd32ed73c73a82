"""The sensor with too little light: noise and underexposure."""

from __future__ import annotations

import torch
from torch import Tensor

from ..imaging.filters import convolve
from ..imaging.layout import from_uint8, to_uint8
from .draws import Draw

NOISE_SIGMA = (8.0, 25.0, 50.0)
"""Standard deviation at mid grey, in levels of 255."""
EXPOSURE_GAIN = (0.45, 0.25, 0.1)
EXPOSURE_GAMMA = (1.0, 1.2, 1.5)
DARK_SIGMA = (0.5, 1.2, 2.5)


def noise(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Add read and shot noise to [3, H, W] in 0..1, sometimes correlated over pixels or channels; not clamped.

    The variance is a + b * signal (Foi et al., 2008, the Gaussian limit of Poisson counts).
    """
    sigma = draw.level(severity, NOISE_SIGMA) / 255
    shot = draw.uniform(0.0, 0.8)
    variance = sigma**2 * ((1 - shot) + shot * 2 * image)
    return image + _unit_noise(image, draw) * variance.sqrt()


def underexposure(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Darken [3, H, W] in 0..1 by gain and gamma, with a slight cast and a little noise, stored in 8 bits."""
    gain = draw.level(severity, EXPOSURE_GAIN)
    gamma = draw.level(severity, EXPOSURE_GAMMA)
    sigma = draw.level(severity, DARK_SIGMA) / 255
    cast = (1 + 0.06 * (2 * draw.rand(3, 1, 1) - 1)).to(image)
    dark = gain * cast * image**gamma
    return from_uint8(to_uint8(dark + sigma * _unit_noise(image, draw)))


def _unit_noise(image: Tensor, draw: Draw) -> Tensor:
    """Draw noise of mean 0 and variance 1, in the shape and on the device of `image`."""
    field = draw.normal(*image.shape)
    if draw.chance(0.3):
        field = _correlate_channels(field, draw.uniform(0.2, 0.8))
    if draw.chance(0.3):
        field = _correlate_pixels(field, draw.uniform(0.05, 0.3))
    return field.to(image.device)


def _correlate_channels(field: Tensor, fraction: float) -> Tensor:
    """Give all channels a fraction of their variance in common, as noise in the luminance has."""
    common = field.sum(0, keepdim=True) / field.shape[0] ** 0.5
    mixed = (1 - fraction) ** 0.5 * field + fraction**0.5 * common
    scale = 1 + 2 * (fraction * (1 - fraction) / field.shape[0]) ** 0.5
    return mixed / scale**0.5


def _correlate_pixels(field: Tensor, weight: float) -> Tensor:
    """Spread each value over its neighbours, as demosaicing does, keeping the variance at one."""
    line = torch.tensor([weight, 1.0, weight])
    kernel = torch.outer(line, line)
    return convolve(field, kernel / kernel.norm())
