"""The camera and the web: light and its code values, and what both do to every photograph without damaging it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..imaging.filters import binomial_blur, resample
from .compression import compress_jpeg
from .draws import Draw

GAMMA = 2.2


def to_linear(image: Tensor) -> Tensor:
    """Return the light of code values in 0..1."""
    return image.clamp(0.0, 1.0) ** GAMMA


def from_linear(light: Tensor) -> Tensor:
    """Return the code values in 0..1 of light in 0..1."""
    return light.clamp(0.0, 1.0) ** (1 / GAMMA)


def sharpen(image: Tensor, amount: float) -> Tensor:
    """Add `amount` of its finest detail to [3, H, W]; not clamped."""
    return image + amount * (image - binomial_blur(image[None])[0])


def vignette(image: Tensor, strength: float, *, y: float = 0.5, x: float = 0.5) -> Tensor:
    """Darken [3, H, W] toward the corner farthest from (y, x), fractions of the sides, by up to `strength` in 0..1."""
    down = torch.linspace(0.0, 1.0, image.shape[1], device=image.device)[:, None] - y
    right = torch.linspace(0.0, 1.0, image.shape[2], device=image.device) - x
    square = down.square() + right.square()
    return image * (1 - strength * square / square.max())


def develop(image: Tensor, draw: Draw) -> Tensor:
    """Process [3, H, W] in 0..1 as cameras do with every photograph: tone, vignetting, grain, sharpening.

    A part of it each time, at strengths that nobody takes for damage.
    """
    if draw.chance(0.4):
        image = _tone_curve(image, draw.uniform(-0.5, 0.5), draw.log_uniform(0.8, 1.25))
    if draw.chance(0.25):
        image = vignette(image, draw.uniform(0.05, 0.35), y=draw.uniform(0.3, 0.7), x=draw.uniform(0.3, 0.7))
    if draw.chance(0.4):
        image = image + _fine_grain(image, draw)
    if draw.chance(0.4):
        image = sharpen(image, draw.log_uniform(0.1, 1.2))
    return image.clamp(0.0, 1.0)


def publish(image: Tensor, draw: Draw) -> Tensor:
    """Process [3, H, W] in 0..1 as the web does with every photograph: resized, sharpened, JPEG of quality 60 to 100.

    A part of it each time, at strengths that nobody takes for damage.
    """
    height, width = image.shape[1:]
    if draw.chance(0.25):
        factor = draw.uniform(0.8, 1.6)
        kernel = draw.choice(("area", "linear", "cubic", "lanczos"))
        resized = resample(image, (round(height * factor), round(width * factor)), kernel=kernel)
        image = resample(resized, (height, width), kernel="cubic").clamp(0.0, 1.0)
    if draw.chance(0.2):
        image = sharpen(image, draw.log_uniform(0.1, 0.8)).clamp(0.0, 1.0)
    if draw.chance(0.7):
        quality, subsampling = draw.integer(60, 100), draw.choice((0, 1, 2), (0.3, 0.1, 0.6))
        image = compress_jpeg(image.movedim(0, -1), quality, subsampling).movedim(-1, 0).to(image)
    return image


def _tone_curve(image: Tensor, contrast: float, gamma: float) -> Tensor:
    """Bend [3, H, W] in 0..1 by a gamma and a cubic S-curve (contrast above 0) or its opposite."""
    bent = image**gamma
    return bent + contrast * bent * (1 - bent) * (2 * bent - 1)


def _fine_grain(image: Tensor, draw: Draw) -> Tensor:
    """Draw slight noise for [3, H, W]: in luminance and color, white or clumped, at most 2.5 levels of 255."""
    sigma, color = draw.log_uniform(0.3, 2.5) / 255, draw.uniform(0.0, 1.0)
    field = draw.normal(1, *image.shape[1:]) + color * draw.normal(*image.shape)
    if draw.chance(0.4):
        field = binomial_blur(field[None])[0] * 2.5
    return sigma * field.to(image) / (1 + color**2) ** 0.5
