"""Noise of sensors, of film, and of what cameras do against it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.filters import binomial_blur, convolve, resample
from .camera import from_linear, to_linear
from .draws import Draw

NOISE_SIGMA = (8.0, 25.0, 50.0)
"""Standard deviation at mid gray, in levels of 255."""


def noise(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Add read and shot noise to [3, H, W] in 0..1, sometimes correlated over pixels or channels; not clamped.

    The variance is a + b * signal (Foi et al., 2008, the Gaussian limit of Poisson counts).
    """
    sigma = draw.level(severity, NOISE_SIGMA) / 255
    shot = draw.uniform(0.0, 0.8)
    variance = sigma**2 * ((1 - shot) + shot * 2 * image)
    return image + unit_noise(image, draw) * variance.sqrt()


def gaussian(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Add white Gaussian noise to [3, H, W] in 0..1, the same everywhere (as in Zhang et al., 2017, DnCNN)."""
    sigma = draw.log_level(severity, 5, 65) / 255
    return image + sigma * draw.normal(*image.shape).to(image)


def poisson(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Count few photons in [3, H, W] in 0..1, in linear light (Hasinoff, 2014, "Photon, Poisson noise")."""
    white = draw.log_level(severity, 1000, 10)
    return from_linear(draw.poisson(to_linear(image) * white).to(image) / white)


def demosaiced(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Add the noise of a raw sensor to [3, H, W] in 0..1: demosaiced, white-balanced and gamma-coded with the scene.

    It is correlated over two or three pixels and blotched in color (Brooks et al., 2019, "Unprocessing images").
    """
    gains = torch.tensor([draw.uniform(1.4, 2.4), 1.0, draw.uniform(1.3, 2.2)]).view(3, 1, 1).to(image)
    shot = draw.log_level(severity, 5e-4, 6e-2)
    read = shot * draw.log_uniform(0.02, 0.3)
    raw = to_linear(image) / gains
    noise = draw.normal(*image.shape).to(image) * (shot * raw + read**2).sqrt()
    return from_linear((raw + _demosaic(noise)) * gains)


def chroma(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Add noise to the color of [3, H, W] in 0..1, fine or in blotches, and little to its luminance.

    High ISO after demosaicing and noise reduction looks so (Guo et al., 2019, CBDNet, on in-camera processing).
    """
    sigma = draw.log_level(severity, 8, 55) / 255
    field = clumped_noise(draw, image.shape, draw.log_uniform(1.0, 6.0))
    color = field - field.mean(0, keepdim=True)
    grain = draw.uniform(0.05, 0.3) * draw.normal(1, *image.shape[1:])
    return image + sigma * (color + grain).to(image)


def luminance(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Add the same noise to all channels of [3, H, W] in 0..1, stronger or weaker where it is bright.

    Cameras suppress chroma noise first and leave this (Plötz and Roth, 2017, DND, on developed pictures).
    """
    sigma = draw.log_level(severity, 5, 42) / 255
    field = clumped_noise(draw, (1, *image.shape[1:]), draw.log_uniform(1.0, 1.8)).to(image)
    brightness = image.mean(0, keepdim=True)
    return image + sigma * field * (0.4 + 1.2 * (brightness if draw.chance(0.5) else 1 - brightness))


def smoothed(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Leave in [3, H, W] in 0..1 what a phone's noise reduction cannot take away: mottle, specks, dull detail.

    The fine band of a noisy picture is shrunk softly (Donoho, 1995), its coarse band keeps its noise.
    """
    sigma = draw.log_level(severity, 12, 80) / 255
    noisy = image + sigma * clumped_noise(draw, image.shape, draw.log_uniform(1.0, 2.0)).to(image)
    coarse = binomial_blur(noisy[None])[0]
    detail = noisy - coarse
    return coarse + detail.sign() * (detail.abs() - draw.uniform(0.7, 1.6) * sigma).clamp_min(0.0)


def film_grain(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Put clumped grain over [3, H, W] in 0..1, most in the middle tones (after Newson et al., 2017)."""
    sigma = draw.log_level(severity, 7, 45) / 255
    channels = 3 if draw.chance(0.4) else 1
    grain = clumped_noise(draw, (channels, *image.shape[1:]), draw.log_uniform(1.2, 2.6)).to(image)
    tone = image.mean(0, keepdim=True)
    return image + sigma * grain * (0.25 + 3 * tone * (1 - tone))


def impulse(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Replace pixels of [3, H, W] in 0..1: salt and pepper, or any value (Gonzalez and Woods)."""
    fraction = draw.log_level(severity, 0.003, 0.15)
    channels = 3 if draw.chance(0.5) else 1
    hit = (draw.rand(channels, *image.shape[1:]) < fraction).to(image.device)
    values = draw.rand(channels, *image.shape[1:])
    if draw.chance(0.6):
        values = values.round()
    return torch.where(hit, values.to(image), image)


def banding(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Offset the rows or columns of [3, H, W] in 0..1, over read noise, as at high gain (Wei et al., 2020, ELD)."""
    sigma = draw.log_level(severity, 4, 45) / 255
    channels, height, width = image.shape
    lines = (channels, height, 1) if draw.chance(0.7) else (channels, 1, width)
    rows = draw.normal(*lines)
    if draw.chance(0.5):
        rows = rows.mean(0, keepdim=True) * channels**0.5
    return image + sigma * (draw.uniform(0.4, 0.9) * rows + draw.uniform(0.5, 1.0) * draw.normal(*image.shape)).to(
        image
    )


def speckle(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Multiply [3, H, W] in 0..1 by noise of mean 1, as coherent light does (Goodman, 1976)."""
    sigma = draw.log_level(severity, 0.05, 0.4)
    field = clumped_noise(draw, (draw.choice((1, 3)), *image.shape[1:]), draw.log_uniform(1.0, 1.6))
    return image * (1 + sigma * field.to(image))


def clumped_noise(draw: Draw, shape: Sequence[int], grain: float) -> Tensor:
    """Draw noise [C, H, W] of mean 0 and variance 1 whose grains are about `grain` pixels wide, 1 for white."""
    channels, height, width = shape
    coarse = draw.normal(channels, max(round(height / grain), 2), max(round(width / grain), 2))
    field = resample(coarse, (height, width), kernel="cubic")
    return field / field.std().clamp_min(1e-3)


def _demosaic(mosaic: Tensor) -> Tensor:
    """Interpolate [3, H, W] bilinearly from the pixels that each color has in a Bayer pattern."""
    y, x = (torch.arange(side, device=mosaic.device) % 2 for side in mosaic.shape[1:])
    red = (y[:, None] == 0) & (x == 0)
    blue = (y[:, None] == 1) & (x == 1)
    seen = mosaic * torch.stack([red, ~(red | blue), blue])
    corners = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    cross = torch.tensor([[0.0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    kernel = torch.stack([corners, cross, corners])[:, None].to(mosaic)
    return F.conv2d(F.pad(seen[None], (1, 1, 1, 1), mode="reflect"), kernel, groups=3)[0]


def unit_noise(image: Tensor, draw: Draw) -> Tensor:
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
    """Spread each value over its neighbors, as demosaicing does, keeping the variance at one."""
    line = torch.tensor([weight, 1.0, weight])
    kernel = torch.outer(line, line)
    return convolve(field, kernel / kernel.norm())
