"""Light on the leaves: from numbers and tables to radiance and depth, and the shadows of what is nearer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .camera import downscale, gaussian_blur
from .leaves import LeafMap
from .surfaces import BANK_SIZE, Surfaces, texture_bank

BAND_ROWS = 64


def shade(leaf_map: LeafMap, surfaces: Surfaces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radiance [H, W, 3], depth [H, W] and coverage [H, W] of a leaf map, reduced to the final size."""
    numbers = np.asarray(leaf_map.map)
    bands = [
        shade_band(numbers[top : top + BAND_ROWS], surfaces, top=top, scale=leaf_map.scale)
        for top in range(0, len(numbers), BAND_ROWS)
    ]
    radiance, depth, coverage = (np.concatenate(parts) for parts in zip(*bands, strict=True))
    return radiance, depth, coverage


def shade_band(
    numbers: np.ndarray, surfaces: Surfaces, *, top: int, scale: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`shade` for the rows [rows, W] of the map from `top` on."""
    y = (np.arange(top, top + len(numbers), dtype=np.float32)[:, None] + 0.5) / scale
    x = (np.arange(numbers.shape[1], dtype=np.float32)[None] + 0.5) / scale
    flat = numbers.ravel()
    shape = numbers.shape

    def column(table: np.ndarray, index: int) -> np.ndarray:
        return np.ascontiguousarray(table[:, index])[flat].reshape(shape)

    inverse = column(surfaces.place, 2)
    dx, dy = (x - column(surfaces.place, 0)) * inverse, (y - column(surfaces.place, 1)) * inverse
    texture = texture_values(column, surfaces, x=x * scale, y=y * scale)
    light = column(surfaces.texture, 0) * texture
    light += np.clip(column(surfaces.shade, 0) * dx + column(surfaces.shade, 1) * dy, -2, 2)
    light -= column(surfaces.shade, 2) * np.minimum(dx * dx + dy * dy, 2)
    radiance = surfaces.tint[flat].reshape(*shape, 3) * np.clip(texture, -2, 2)[..., None]
    radiance += surfaces.albedo[flat].reshape(*shape, 3)
    radiance *= np.exp(light)[..., None]
    spot = np.maximum(1 - 16 * ((dx + column(surfaces.gloss, 1)) ** 2 + (dy + column(surfaces.gloss, 2)) ** 2), 0)
    radiance += (column(surfaces.gloss, 0) * spot * spot)[..., None]
    np.maximum(radiance, 0.001, out=radiance)
    depth = column(surfaces.depth, 0) + column(surfaces.depth, 1) * dy
    coverage = (numbers > 0).astype(np.float32)
    return downscale(radiance * coverage[..., None], scale), depth[::scale, ::scale], downscale(coverage, scale)


def texture_values(
    column: Callable[[np.ndarray, int], np.ndarray], surfaces: Surfaces, *, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Return what each pixel takes from the bank, [H, W]; `column` gives a value of a per-leaf table to each pixel."""
    cosine, sine = column(surfaces.mapping, 0), column(surfaces.mapping, 1)
    u = (cosine * x - sine * y + column(surfaces.mapping, 2)).astype(np.int32) & (BANK_SIZE - 1)
    v = (sine * x + cosine * y + column(surfaces.mapping, 3)).astype(np.int32) & (BANK_SIZE - 1)
    number = column(surfaces.texture, 1).astype(np.int32)
    return texture_bank().ravel()[(number * BANK_SIZE + v) * BANK_SIZE + u]


def shadow(rng: np.random.Generator, depth: np.ndarray) -> np.ndarray:
    """Return the fraction of light [H, W] that reaches each pixel: nearer things shade, a little shifted."""
    strength = rng.uniform(0, 0.75)
    softness = float(np.exp(rng.uniform(0, 2.3)))
    shift = rng.normal(0, len(depth) / 60, 2).astype(int)
    caster = np.roll(gaussian_blur(depth[..., None], softness)[..., 0], shift, (0, 1))
    return 1 - strength * np.clip((depth - caster) * 4, 0, 1)
