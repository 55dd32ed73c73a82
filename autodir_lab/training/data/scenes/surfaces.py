"""What each leaf is made of: its color, texture, slope toward the light and gloss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .leaves import LeafMap
from .palettes import Style, sky_color
from .textures import CLOUDS, PATTERNS, SPECTRA, STREAKS


@dataclass(frozen=True)
class Surfaces:
    """Per-leaf tables, one row for each number in a leaf map."""

    place: np.ndarray  # [n, 3] center x, center y, 1 / radius
    depth: np.ndarray  # [n, 2] at the center, change per radius downwards
    albedo: np.ndarray  # [n, 3] linear RGB
    tint: np.ndarray  # [n, 3] added per unit of texture
    shade: np.ndarray  # [n, 3] log-luminance slopes in x and y, curvature
    texture: np.ndarray  # [n, 2] amplitude in log-luminance, number in the bank
    mapping: np.ndarray  # [n, 4] cosine and sine times scale, offsets
    gloss: np.ndarray  # [n, 3] strength, center in radii


def draw_surfaces(rng: np.random.Generator, style: Style, *, leaf_map: LeafMap) -> Surfaces:
    """Draw what every leaf of a leaf map is made of, in the style of the picture."""
    n = len(leaf_map.place)
    kind = np.array(leaf_map.kind)
    family = np.array(leaf_map.family)
    member = np.where(family >= 0, family, rng.integers(len(style.colors), size=n)) % len(style.colors)
    albedo = style.colors[member] * np.exp(rng.normal(0, 0.25, (n, 1)) + rng.normal(0, 0.08, (n, 3)) * style.saturation)
    sky = kind == "sky"
    if sky.any():
        albedo[sky] = sky_color(rng, style)
    slopes = style.shading * np.abs(rng.normal(0, 0.7, n))
    light = style.light + rng.normal(0, 0.5, n)
    round_leaf = rng.random(n) < 0.5
    shade = np.stack([slopes * np.cos(light), slopes * np.sin(light), round_leaf * slopes], axis=1)
    shade[sky] = np.stack(
        [np.full(sky.sum(), rng.normal(0, 0.1)), np.full(sky.sum(), rng.uniform(0, 0.35)), sky[sky] * 0], 1
    )
    angle = np.where(rng.random(n) < 0.5, rng.normal(style.light, 0.15, n), rng.uniform(0, 2 * math.pi, n))
    zoom = np.exp(rng.uniform(-0.9, 0.5, n))
    # Colors vary inside a surface mostly between warm and cool, never in a sky.
    warmth = np.outer(rng.normal(0, 0.1, n), (1.0, 0.1, -1.0)) + rng.normal(0, 0.03, (n, 3))
    tint = warmth * style.saturation * (~sky & (rng.random(n) < 0.7))[:, None]
    gloss = (rng.random(n) < 0.06) * rng.exponential(0.3, n)
    return Surfaces(
        place=np.array(leaf_map.place, dtype=np.float32),
        depth=np.array(leaf_map.depth, dtype=np.float32),
        albedo=albedo.astype(np.float32),
        tint=(albedo * tint).astype(np.float32),
        shade=shade.astype(np.float32),
        texture=draw_textures(rng, style, kind=kind).astype(np.float32),
        mapping=np.stack([zoom * np.cos(angle), zoom * np.sin(angle), *rng.uniform(0, 512, (2, n))], 1).astype(
            np.float32
        ),
        gloss=np.stack([gloss, 0.4 * np.cos(light), 0.4 * np.sin(light)], axis=1).astype(np.float32),
    )


def draw_textures(rng: np.random.Generator, style: Style, *, kind: np.ndarray) -> np.ndarray:
    """Amplitude and bank number of each leaf; many leaves are nearly flat, as many surfaces in photographs are."""
    n = len(kind)
    number = rng.integers(SPECTRA.start, SPECTRA.stop, n)
    streaked, patterned = rng.random(n) < 0.25, rng.random(n) < 0.3 * style.man_made
    number = np.where(streaked, rng.integers(STREAKS.start, STREAKS.stop, n), number)
    number = np.where(patterned, rng.integers(PATTERNS.start, PATTERNS.stop, n), number)
    number = np.where(kind == "sky", rng.integers(CLOUDS.start, CLOUDS.stop), number)
    amplitude = style.texture * np.exp(rng.normal(0, 0.7, n)) * np.where(rng.random(n) < 0.25, 0.1, 1.0)
    amplitude = np.where(kind == "sky", rng.choice([0.0, 0.02, 0.1, 0.25]), amplitude)
    amplitude = np.where(kind == "flat", 0.03, amplitude)
    return np.stack([np.minimum(amplitude, 0.8), number], axis=1)
