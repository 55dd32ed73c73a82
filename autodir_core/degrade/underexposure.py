"""Underexposure: too little light for the exposure, stored in 8 bits."""

from __future__ import annotations

import torch
from torch import Tensor

from ..imaging.layout import from_uint8, to_uint8
from .camera import from_linear, to_linear, vignette
from .draws import Draw
from .noise import clumped_noise, unit_noise

EXPOSURE_GAIN = (0.45, 0.25, 0.1)
EXPOSURE_GAMMA = (1.0, 1.2, 1.5)
DARK_SIGMA = (0.5, 1.2, 2.5)


def underexposure(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Darken [3, H, W] in 0..1 by gain and gamma, with a slight cast and a little noise, stored in 8 bits."""
    gain = draw.level(severity, EXPOSURE_GAIN)
    gamma = draw.level(severity, EXPOSURE_GAMMA)
    sigma = draw.level(severity, DARK_SIGMA) / 255
    cast = (1 + 0.06 * (2 * draw.rand(3, 1, 1) - 1)).to(image)
    dark = gain * cast * image**gamma
    return from_uint8(to_uint8(dark + sigma * unit_noise(image, draw)))


def exposure(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Take 0.8 to 6 stops of light from [3, H, W] in 0..1 (as exposure is changed in raw by Chen et al., 2018, SID)."""
    gain = 2 ** -draw.log_level(severity, 0.8, 6.0)
    return _store(from_linear(gain * _draw_cast(draw).to(image) * to_linear(image)), draw)


def gamma(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Darken the middle tones of [3, H, W] in 0..1 and leave white as it is (Lore et al., 2017, LLNet)."""
    return _store(image ** draw.log_level(severity, 1.4, 4.5), draw)


def crushed(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Bend [3, H, W] in 0..1 by an S-curve that crushes shadows and middle tones; highlights keep their contrast."""
    slope, middle = draw.uniform(3.0, 8.0), draw.log_level(severity, 0.6, 0.95)
    curve = torch.sigmoid(slope * (image - middle))
    black, white = torch.sigmoid(torch.tensor([-slope * middle, slope * (1 - middle)])).tolist()
    return _store((curve - black) / (white - black) * draw.uniform(0.7, 1.0), draw)


def black_level(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Subtract a constant from [3, H, W] in 0..1, so that the shadows are clipped; sometimes dim the rest too."""
    level = draw.log_level(severity, 0.12, 0.6) * _draw_cast(draw).to(image)
    return _store((image - level) * draw.uniform(0.8, 1.0), draw)


def vignetted(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Darken [3, H, W] in 0..1, and more toward the borders: a weak flash, a small lens (cos^4 law)."""
    strength = draw.uniform(0.6, 0.95)
    light = vignette(to_linear(image), strength, y=draw.uniform(0.3, 0.7), x=draw.uniform(0.3, 0.7))
    return _store(from_linear(2 ** -draw.log_level(severity, 0.7, 4.5) * light), draw)


def backlit(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Expose [3, H, W] in 0..1 for one bright part, a window or the sky (Lv et al., 2022, BacklitNet)."""
    field = draw.smooth_field((image.shape[1], image.shape[2]), draw.integer(2, 4)).to(image)
    window = torch.sigmoid((field + 0.5 * image.mean(0) - draw.uniform(0.9, 1.1)) * draw.log_uniform(10, 60))
    dark = from_linear(2 ** -draw.log_level(severity, 1.2, 6.0) * to_linear(image))
    return _store(dark + window * (image * draw.uniform(0.8, 1.1) - dark), draw)


def low_light(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Show [3, H, W] in 0..1 by little light: a cast, a lifted black, noise of high gain (Wei et al., 2018, LOL)."""
    stops = draw.log_level(severity, 1.0, 6.0)
    light = 2**-stops * _draw_cast(draw, 0.35).to(image) * to_linear(image)
    sigma = draw.log_uniform(0.3, 1.5) / 255 * stops / 3
    noise = clumped_noise(draw, image.shape, draw.log_uniform(1.0, 2.0)).to(image)
    return _store(from_linear(light) + draw.uniform(0.0, 0.04) + sigma * noise, draw)


def _draw_cast(draw: Draw, strength: float = 0.12) -> Tensor:
    """Draw the factors [3, 1, 1] of a white balance that is off, at most 1."""
    return 1 - strength * draw.rand(3, 1, 1)


def _store(image: Tensor, draw: Draw) -> Tensor:
    """Store [3, H, W] in 8 bits, half of the time with a little noise, which hides the steps."""
    if draw.chance(0.5):
        image = image + draw.log_uniform(0.3, 1.5) / 255 * draw.normal(*image.shape).to(image)
    return from_uint8(to_uint8(image))
