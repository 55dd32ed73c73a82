"""Blur and changes of size, of arrays [H, W, C]: defocus, soft shadows and anti-aliasing."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from autodir_core.imaging import filters


def gaussian_blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """Blur [H, W, C] by a Gaussian with mirrored borders; wide blurs are done at half size."""
    height, width = values.shape[:2]
    if sigma > 4 and min(height, width) >= 32 and height % 2 == 0 and width % 2 == 0:
        return upscale(gaussian_blur(downscale(values, 2), math.sqrt(sigma**2 / 4 - 0.1)))
    return filters.gaussian_blur(values, sigma, truncate=2.7)


def downscale(values: np.ndarray, scale: int) -> np.ndarray:
    """Return the means of 2x2 pixels of [H, W] or [H, W, C] for a scale of 2, the very values for 1."""
    if scale == 1:
        return values
    rows = values[0::2] + values[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * 0.25


def upscale(values: np.ndarray) -> np.ndarray:
    """Return [H, W, C] at twice the size, bicubic."""
    size = (values.shape[1] * 2, values.shape[0] * 2)
    planes = [Image.fromarray(np.ascontiguousarray(values[..., c])) for c in range(values.shape[2])]
    return np.stack([np.asarray(plane.resize(size, Image.Resampling.BICUBIC)) for plane in planes], axis=-1)
