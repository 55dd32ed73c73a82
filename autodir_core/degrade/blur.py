"""Blur: the lens out of focus, the camera or the scene moving during the exposure."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.filters import convolve, convolve_circular, disc_kernel, line_kernel, path_kernel
from .draws import Draw

DEFOCUS_RADIUS = (0.9, 2.5, 6.0)
MOTION_LENGTH = (4.0, 11.0, 25.0)


def blur(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Blur [3, H, W] in 0..1 by defocus or motion, in nearly linear light."""
    kernel = _kernel(draw, severity, min(image.shape[-2:]))
    # A gamma of 2 is near enough to sRGB for highlights to bleed as light does, and costs a square root.
    return convolve(image.square(), kernel).clamp_min(0.0).sqrt()


def gaussian(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Blur [3, H, W] in 0..1 by a Gaussian, round or elongated (BSRGAN, Zhang et al., 2021), in light or not."""
    sigma, ratio = draw.log_level(severity, 0.9, 5.5), draw.log_uniform(1.0, 2.5) if draw.chance(0.4) else 1.0
    psf = gaussian_psf(sigma * ratio**0.5, sigma / ratio**0.5, draw.uniform(0.0, math.pi))
    return apply_psf(image, psf, linear=draw.chance(0.5))


def defocus(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Defocus [3, H, W] in 0..1 by an aperture of 5 to 9 blades or a disc; highlights beyond white show its form."""
    psf = _aperture(draw.log_level(severity, 1.2, 9.0), draw.integer(4, 9), draw.uniform(0.0, 2 * math.pi))
    light = image.square()
    # what a sensor clips at white is often much brighter
    light = light * (1 + draw.uniform(0.0, 4.0) * (light.mean(0, keepdim=True) - 0.8).clamp_min(0.0) * 5)
    return apply_psf(light, psf, linear=False).clamp(0.0, 1.0).sqrt()


def motion(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Blur [3, H, W] in 0..1 along a straight line, in light or, as most software does, in code values."""
    psf = line_kernel(draw.log_level(severity, 4.0, 40.0), draw.uniform(0.0, math.pi), width=draw.uniform(1.0, 1.8))
    return apply_psf(image, psf, linear=draw.chance(0.6))


def camera_shake(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Blur [3, H, W] in 0..1 along a random path of the hand, with pauses (Boracchi and Foi, 2012)."""
    velocity = draw.normal(2, 96)
    inertia = draw.uniform(0.7, 0.97)
    for step in range(1, velocity.shape[1]):
        velocity[:, step] += inertia * velocity[:, step - 1]
    path = velocity.cumsum(1)
    path *= draw.log_level(severity, 4.0, 40.0) / (path.amax(1) - path.amin(1)).max().clamp_min(1e-3)
    fine = F.interpolate(path[None], 384, mode="linear", align_corners=True)[0]
    if draw.chance(0.4):  # gaps where the light flickers or something hides it
        open_shutter = (draw.rand(12) < 0.7).index_fill(0, torch.tensor(0), True)
        fine = fine[:, open_shutter.repeat_interleave(32)]
    return apply_psf(image, path_kernel(fine[0], fine[1]))


def rotation(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Turn [3, H, W] in 0..1 around a point during the exposure; its corners move by 7 to 70 pixels."""
    reach = draw.log_level(severity, 7.0, 70.0)
    angle = reach / math.hypot(*image.shape[1:]) * (1 if draw.chance(0.5) else -1)
    return _accumulate(image, draw, reach, angle=angle)


def zoom(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Move [3, H, W] in 0..1 toward a point during the exposure (Hendrycks and Dietterich, 2019)."""
    reach = draw.log_level(severity, 6.0, 55.0)
    return _accumulate(image, draw, reach, zoom=reach / math.hypot(*image.shape[1:]))


def moving_object(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Blur a third to two thirds of [3, H, W] in 0..1 by motion and leave the rest sharp (Nah et al., 2017, GoPro)."""
    moved = motion(image, draw, severity=severity)
    field = draw.smooth_field((image.shape[1], image.shape[2]), draw.integer(2, 4))
    field = (field - field.min()) / (field.max() - field.min()).clamp_min(1e-3)
    mask = ((field - draw.uniform(0.35, 0.6)) / draw.log_uniform(0.01, 0.1) + 0.5).clamp(0.0, 1.0).to(image)
    return image + mask * (moved - image)


def uneven(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Defocus [3, H, W] in 0..1 more and more toward one side: a tilted plane of focus, a decentered lens."""
    radius = draw.log_level(severity, 2.5, 12.0)
    half, whole = (apply_psf(image, disc_kernel(r, softness=1.0)) for r in (radius / 2, radius))
    angle = draw.uniform(0.0, 2 * math.pi)
    y, x = (torch.linspace(-0.5, 0.5, side, device=image.device) for side in image.shape[1:])
    ramp = y[:, None] * math.sin(angle) + x * math.cos(angle)
    level = ((ramp + draw.uniform(0.15, 0.5)) / draw.uniform(0.4, 0.9)).clamp(0.0, 1.0) * 2
    return image + level.clamp(max=1.0) * (half - image) + (level - 1).clamp_min(0.0) * (whole - half)


def sharpened(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Blur [3, H, W] in 0..1 and sharpen it: halos where edges were (Wang et al., 2021, Real-ESRGAN, on sharpening)."""
    radius = draw.log_level(severity, 2.0, 7.0)
    psf = disc_kernel(radius) if draw.chance(0.5) else gaussian_psf(radius / 2, radius / 2, 0.0)
    soft = apply_psf(image, psf)
    halo = draw.uniform(0.6, 1.4) * radius
    return soft + draw.uniform(0.5, 1.6) * (soft - apply_psf(soft, gaussian_psf(halo, halo, 0.0), linear=False))


def apply_psf(image: Tensor, psf: Tensor, *, linear: bool = True) -> Tensor:
    """Convolve [C, H, W] with a point spread function [K, K], K odd, borders mirrored as often as it takes.

    In nearly linear light, or in the values as they are.
    """
    reach = psf.shape[0] // 2
    height, width = image.shape[1:]
    rows, columns = (_mirrored_indices(side, reach).to(image.device) for side in (height, width))
    padded = (image.square() if linear else image)[:, rows][:, :, columns]
    result = convolve_circular(padded, psf)[:, 2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width]
    return result.clamp_min(0.0).sqrt() if linear else result


def gaussian_psf(sigma_x: float, sigma_y: float, angle: float) -> Tensor:
    """Return a Gaussian of `sigma_x` by `sigma_y` pixels, turned by `angle` radians: [K, K], which sums to one."""
    reach = math.ceil(3 * max(sigma_x, sigma_y))
    y, x = torch.meshgrid(*[torch.arange(-reach, reach + 1.0)] * 2, indexing="ij")
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    psf = torch.exp(-0.5 * ((along / sigma_x).square() + (across / sigma_y).square()))
    return psf / psf.sum()


def _aperture(radius: float, blades: int, angle: float) -> Tensor:
    """Return a regular polygon of `blades` corners, a disc for 9, with a soft edge: [K, K], which sums to one."""
    if blades == 9:
        return disc_kernel(radius)
    reach = math.ceil(radius + 1)
    y, x = torch.meshgrid(*[torch.arange(-reach, reach + 1.0)] * 2, indexing="ij")
    sides = angle + torch.arange(blades) * (2 * math.pi / blades)
    distance = (x[..., None] * sides.cos() + y[..., None] * sides.sin()).amax(-1)
    psf = (radius * math.cos(math.pi / blades) - distance + 0.5).clamp(0.0, 1.0)
    return psf / psf.sum()


def _accumulate(image: Tensor, draw: Draw, reach: float, *, angle: float = 0.0, zoom: float = 0.0) -> Tensor:
    """Average [3, H, W] over a turn by `angle` radians or an enlargement by `zoom` around a drawn point, in light.

    Each of log2(reach) warps doubles the number of positions, so that none is farther than a pixel from the next.
    """
    center = draw.uniform(0.3, 0.7), draw.uniform(0.3, 0.7)
    light = image.square()[None]
    fraction = 0.5
    for _ in range(max(math.ceil(math.log2(reach)), 1)):
        grid = _similarity_grid(image, center, fraction * angle, math.exp(-fraction * zoom))
        light = (light + F.grid_sample(light, grid, padding_mode="reflection", align_corners=False)) / 2
        fraction /= 2
    return light[0].clamp_min(0.0).sqrt()


def _similarity_grid(image: Tensor, center: tuple[float, float], angle: float, scale: float) -> Tensor:
    """Return where each pixel of [3, H, W] comes from when it is turned and scaled, as `grid_sample` wants it."""
    height, width = image.shape[1:]
    y = torch.arange(height, device=image.device)[:, None] - center[0] * height
    x = torch.arange(width, device=image.device)[None] - center[1] * width
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    down, right = cosine * y + sine * x + center[0] * height, cosine * x - sine * y + center[1] * width
    return torch.stack([(2 * right + 1) / width - 1, (2 * down + 1) / height - 1], dim=-1)[None]


def _mirrored_indices(side: int, reach: int) -> Tensor:
    """Return 0..side-1 with at least `reach` mirrored indices on both ends, a multiple of 16 for fast transforms."""
    total = -(-(side + 2 * reach) // 16) * 16
    index = (torch.arange(total) - reach) % max(2 * (side - 1), 1)
    return torch.minimum(index, 2 * (side - 1) - index)


def _kernel(draw: Draw, severity: float, side: int) -> Tensor:
    """Draw a point spread function small enough for a picture whose shorter side has `side` pixels."""
    if draw.chance(0.5):
        radius = min(draw.level(severity, DEFOCUS_RADIUS), side / 4)
        return disc_kernel(radius, softness=draw.uniform(0.8, 1.2))
    length = min(draw.level(severity, MOTION_LENGTH), side / 2)
    bend = draw.uniform(-0.25, 0.25) if draw.chance(0.5) else 0.0
    return line_kernel(length, draw.uniform(0.0, math.pi), bend=bend)
