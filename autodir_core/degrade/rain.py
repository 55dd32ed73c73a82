"""Rain: streaks of falling drops between the scene and the camera."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..imaging.filters import binomial_blur, convolve_circular, line_kernel
from .blur import apply_psf
from .draws import Draw

RAIN_AMOUNT = (0.4, 1.0, 2.0)
"""Streaks per 1000 pixels in each layer."""
RAIN_LENGTH = (12.0, 22.0, 40.0)
RAIN_STRENGTH = (0.35, 0.6, 0.95)
RAIN_VEIL = (0.02, 0.07, 0.18)


def rain(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Screen layers of streaks and a light veil over [3, H, W] in 0..1."""
    streaks = _draw_streaks(draw, severity, (image.shape[-2], image.shape[-1])).to(image)
    veil = draw.level(severity, RAIN_VEIL)
    light = draw.uniform(0.75, 1.0)
    veiled = image + (light - image).clamp_min(0.0) * veil
    return veiled + (1 - veiled) * light * streaks


def thin(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Add fine translucent streaks of one angle to [3, H, W] in 0..1 (the model of Yang et al., 2017)."""
    size, angle = (image.shape[1], image.shape[2]), _draw_angle(draw)
    amount, length = draw.log_level(severity, 0.8, 8.0), draw.log_uniform(8, 40)
    streaks = _draw_layer(draw, size, amount, length=length, angle=angle, width=draw.uniform(1.0, 1.3))
    return image + draw.log_level(severity, 0.2, 0.6) * streaks.to(image)


def dense(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Cover [3, H, W] in 0..1 with opaque white strokes: noise moved along a line and cut at a threshold.

    Rain100H and Rain800 were drawn so in picture editors (Yang et al., 2017; Zhang et al., 2019).
    """
    size = image.shape[1], image.shape[2]
    length, width = draw.log_uniform(10, 45), draw.uniform(1.0, 1.8)
    strokes = _threshold_noise(
        draw, size, draw.log_level(severity, 0.02, 0.28), length=length, angle=_draw_angle(draw), width=width
    )
    light = draw.uniform(0.75, 1.0) - image
    if draw.chance(0.6):
        light = light.clamp_min(0.0)
    return image + draw.uniform(0.6, 1.0) * strokes.to(image) * light


def long_streaks(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Screen few long streaks over [3, H, W] in 0..1: a long exposure (Garg and Nayar, 2007, on exposure time)."""
    size = image.shape[1], image.shape[2]
    length, width = draw.log_uniform(60, 220), draw.uniform(1.0, 2.0)
    amount = draw.log_level(severity, 0.12, 0.9)
    streaks = _draw_layer(draw, size, amount, length=length, angle=_draw_angle(draw), width=width)
    return image + draw.log_level(severity, 0.3, 0.9) * streaks.to(image) * (draw.uniform(0.85, 1.0) - image)


def thick(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Put short wide drops, out of focus and brighter than what they hide, in front of [3, H, W] in 0..1."""
    size, width = (image.shape[1], image.shape[2]), draw.log_uniform(2.0, 5.0)
    amount, length = draw.log_level(severity, 0.6, 4.0), width * draw.uniform(3.0, 9.0)
    drops = _draw_layer(draw, size, amount, length=length, angle=_draw_angle(draw), width=width).to(image)
    return image + draw.log_level(severity, 0.4, 0.85) * drops * (draw.uniform(0.8, 1.0) - image)


def crossed(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Add two to four layers of streaks to [3, H, W] in 0..1, each at an angle of its own (Rain100H has five)."""
    size, layers = (image.shape[1], image.shape[2]), draw.integer(2, 4)
    total = torch.zeros(size)
    for _ in range(layers):
        amount = draw.log_level(severity, 0.8, 6.0) / layers
        length, width = draw.log_uniform(8, 50), draw.uniform(1.0, 1.8)
        total += _draw_layer(draw, size, amount, length=length, angle=_draw_angle(draw), width=width)
    return image + draw.log_level(severity, 0.3, 0.8) * total.clamp(0.0, 1.0).to(image)


def mist(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Pour over [3, H, W] in 0..1: streaks, and mist of those far away (Li et al., 2019, heavy rain)."""
    size, angle = (image.shape[1], image.shape[2]), _draw_angle(draw)
    density = draw.log_level(severity, 0.08, 0.6) * (0.6 + 0.4 * draw.smooth_field(size, draw.integer(2, 5)))
    misty = image + density.to(image) * (draw.uniform(0.6, 0.9) - image)
    for nearness in (0.5, 1.0, 1.8):
        amount, length = draw.log_level(severity, 2.0, 8.0) / nearness**3, 18 * nearness * draw.uniform(0.6, 1.6)
        tilt = math.radians(draw.uniform(-3.0, 3.0))
        layer = _draw_layer(draw, size, amount, length=length, angle=angle + tilt, width=max(nearness, 1.0))
        misty = misty + draw.log_level(severity, 0.12, 0.35) * nearness * layer.to(image) * (1 - misty)
    return misty


def refracting(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Let streaks smear what lies behind [3, H, W] in 0..1 and add the sky's light (Garg and Nayar, 2007)."""
    size, angle = (image.shape[1], image.shape[2]), _draw_angle(draw)
    amount, length = draw.log_level(severity, 2.0, 10.0), draw.log_uniform(12, 50)
    streaks = _draw_layer(draw, size, amount, length=length, angle=angle, width=draw.uniform(1.2, 3.0)).to(image)
    smeared = apply_psf(image, line_kernel(length, angle), linear=False)
    sky = draw.uniform(0.15, 0.5) * (1 - image.mean())
    return image + draw.log_level(severity, 0.5, 1.0) * streaks * (smeared + sky - image)


def overcast(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Darken and dull [3, H, W] in 0..1 under clouds and draw even gray strokes, soft in focus or not."""
    size = image.shape[1], image.shape[2]
    gray = image.mean(0, keepdim=True)
    dull = image + draw.uniform(0.1, 0.5) * severity * (gray - image)
    dull = dull * (1 - draw.uniform(0.05, 0.35) * severity)
    amount, length = draw.log_level(severity, 0.8, 6.0), draw.log_uniform(6, 45)
    strokes = _draw_layer(draw, size, amount, length=length, angle=_draw_angle(draw), width=1.0, even=True).to(image)
    opacity = draw.log_level(severity, 0.35, 0.95)
    rainy = dull + opacity * strokes * (draw.uniform(0.6, 0.9) - dull)
    return binomial_blur(rainy[None])[0] if draw.chance(0.4) else rainy


def flash(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Freeze drops before a darker [3, H, W] in 0..1: short wide strokes, even, bright and opaque.

    A flash or a short exposure shows near drops so (Garg and Nayar, 2007, on exposure time).
    """
    size, width = (image.shape[1], image.shape[2]), draw.log_uniform(1.2, 4.0)
    length = width * draw.uniform(3.0, 12.0)
    amount = draw.log_level(severity, 12.0, 160.0) / (width * length)
    strokes = _draw_layer(draw, size, amount, length=length, angle=_draw_angle(draw), width=width, even=True).to(image)
    opacity, light = draw.log_level(severity, 0.55, 1.0), draw.uniform(0.65, 1.0)
    dark = image * (1 - draw.uniform(0.0, 0.4) * severity)
    return dark + opacity * strokes * (light - dark)


def _draw_angle(draw: Draw) -> float:
    """Draw the direction of falling drops in radians from the x axis, most within 25 degrees of vertical."""
    return math.pi / 2 + math.radians(draw.uniform(-25.0, 25.0) + draw.uniform(-25.0, 25.0))


def _draw_layer(
    draw: Draw,
    size: tuple[int, int],
    per_thousand: float,
    *,
    length: float,
    angle: float,
    width: float = 1.0,
    even: bool = False,
) -> Tensor:
    """Draw the opacity of streaks [H, W] in 0..1, `per_thousand` pixels, unlike in brightness unless `even`."""
    width = min(width, max(min(size) / 6, 1.0))
    length = min(length, min(size) - 2 * math.ceil(width) - 3)
    kernel = line_kernel(length, angle, width=width)
    points = _scatter_points(draw, size, per_thousand)
    streaks = convolve_circular((points > 0).float() if even else points, kernel / kernel.max())
    return streaks.clamp(0.0, 1.0)


def _threshold_noise(
    draw: Draw, size: tuple[int, int], coverage: float, *, length: float, angle: float, width: float
) -> Tensor:
    """Draw strokes [H, W] in 0..1 that cover about `coverage` of the picture, with soft edges."""
    length = min(length, min(size) - 2 * math.ceil(width) - 3)
    noise = convolve_circular(draw.normal(*size), line_kernel(length, angle, width=width))
    noise = noise / noise.std().clamp_min(1e-6)
    threshold = -torch.special.ndtri(torch.tensor(coverage))
    return ((noise - threshold) / draw.uniform(0.15, 0.6) + 0.5).clamp(0.0, 1.0)


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
        drops = _scatter_points(draw, size, amount / nearness**3)
        total += convolve_circular(drops, kernel / kernel.max()) * (strength * nearness)
    return total.clamp(0.0, 0.9)


def _scatter_points(draw: Draw, size: tuple[int, int], per_thousand: float) -> Tensor:
    """Draw points of random brightness on black: [H, W]."""
    height, width = size
    count = max(round(per_thousand * height * width / 1000), 1)
    places = (draw.rand(count) * (height * width)).long()
    return torch.zeros(height * width).index_put((places,), 0.3 + 0.7 * draw.rand(count)).view(height, width)
