"""What two pictures of one scene have in common: where their edges are, and their light and colors at large."""

from __future__ import annotations

import torch
from torch import Tensor

from .filters import gaussian_blur, resize

MAX_PIXELS = 2**18
"""Larger pictures are compared reduced to these, 512 x 512: content is what a reduced copy still shows."""

EDGE_SIGMA = 2.0
"""Pixels over which gray is smoothed before its gradient, so that grain and fine strokes are no edges."""

LOW_PASS = 16
"""Pixels a side that the light at large is averaged over."""

MIN_GRADIENT = 1e-3
"""Slope per pixel below which there is no edge: a quarter of a level of 255."""

MIN_VARIANCE = 1e-5
"""Variance of light below which a picture counts as flat: a level of 255."""


def reduce_pair(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Return two pictures [1, H, W, 3] of one scene, clamped to 0..1 and reduced to one size for the measures below."""
    height, width = after.shape[1:3]
    scale = min((MAX_PIXELS / (height * width)) ** 0.5, 1.0)
    size = max(round(height * scale), 1), max(round(width * scale), 1)
    reduced = (resize(image.clamp(0, 1), *size, mode="bilinear") for image in (before, after))
    first, second = reduced
    return first, second


def edge_correlation(before: Tensor, after: Tensor) -> float:
    """Return the correlation of the gradients of two pictures [1, H, W, 3], -1..1; 1 where all edges stay in place.

    Brightness, contrast and a constant color do not count. Two flat pictures have the same edges: none.
    """
    first, second = (_gradients(image) for image in (before, after))
    energy = (first.square().sum() * second.square().sum()).sqrt()
    floor = MIN_GRADIENT**2 * first.numel()
    return ((first * second).sum() + floor).div(energy + floor).item()


def light_shift(before: Tensor, after: Tensor, *, affine: bool) -> float:
    """Return how much the light at large of two pictures [1, H, W, 3] differs, RMS in 0..1.

    Args:
        before, after: of one scene.
        affine: forgive one change of brightness and contrast of each color channel, as of exposure or haze.
    """
    first, second = (_low_pass(image) for image in (before, after))
    if affine:
        x, y = first - first.mean(0), second - second.mean(0)
        scale = (x * y).sum(0) / (x.square().sum(0) + MIN_VARIANCE)
        return (y - scale * x).square().mean().sqrt().item()
    return (second - first).square().mean().sqrt().item()


def _gradients(image: Tensor) -> Tensor:
    """Return the differences [2, H, W] of the smoothed gray of [1, H, W, 3] to its neighbors below and right."""
    gray = gaussian_blur(image[0].mean(-1), EDGE_SIGMA)
    return torch.stack([gray.diff(dim=0, append=gray[-1:]), gray.diff(dim=1, append=gray[:, -1:])])


def _low_pass(image: Tensor) -> Tensor:
    """Return the averages [N, 3] of [1, H, W, 3] over blocks of about `LOW_PASS` pixels."""
    height, width = (max(side // LOW_PASS, 1) for side in image.shape[1:3])
    return resize(image, height, width, mode="bilinear").reshape(-1, 3)
