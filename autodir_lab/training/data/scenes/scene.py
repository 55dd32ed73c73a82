"""Compose a picture: a far layer, things in front of it, and the camera that takes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autodir_core.errors import InputError

from .camera import gaussian_blur, take_photograph
from .leaves import LeafMap, add_leaves
from .objects import add_foliage, add_hills, add_objects
from .shading import shade, shadow
from .surfaces import Style, draw_style, draw_surfaces

SUPERSAMPLING = 2


@dataclass(frozen=True)
class Scene:
    """A drawn picture (uint8 [H, W, 3]) and its depth (uint8 [H, W], 0 near .. 255 far)."""

    image: np.ndarray
    depth: np.ndarray


def draw_scene(seed: int, size: int = 512) -> Scene:
    """Draw one picture, the same for the same seed.

    Returns a `Scene` with image uint8 [size, size, 3] and depth uint8 [size, size].
    Raises InputError for a size below 16.
    Source: dead leaves with radius density r^-3 and 1/f textures (Lee, Mumford, Huang 2001; Madhusudana et al. 2021).
    """
    if size < 16:
        raise InputError(f"size must be at least 16 pixels, got {size}: ask for a larger picture")
    rng = np.random.default_rng(seed)
    style = draw_style(rng)
    defocus = float(np.exp(rng.uniform(0, math.log(14)))) if rng.random() < 0.35 else 0.0
    radiance, depth = far_layer(rng, style, size=size, defocus=defocus)
    if defocus or rng.random() < 0.5:
        radiance, depth = near_layer(rng, style, radiance=radiance, depth=depth, sharp=defocus > 0)
    return Scene(take_photograph(rng, radiance), np.rint(255 * np.clip(depth, 0, 1)).astype(np.uint8))


def far_layer(rng: np.random.Generator, style: Style, *, size: int, defocus: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the far part of a scene, out of focus by `defocus` pixels; radiance [H, W, 3], depth [H, W]."""
    sky = rng.random() < 0.35
    horizon = float(rng.uniform(0.15, 0.75))
    leaf_map = LeafMap(size, 1 if defocus > 1.5 else SUPERSAMPLING, top=horizon if sky else 0.0)
    for _ in range(2):
        leaf_map.add((size / 2, size / 2), size * 0.5, depth=1.0, kind="sky" if sky else "")
    leaf_map.map.paste(1, (0, 0, *leaf_map.map.size))
    if sky:
        add_hills(rng, leaf_map, horizon=horizon)
    else:
        add_leaves(rng, leaf_map, count=int(rng.integers(1, 30)), radii=(size * 0.12, size * 0.8), depths=(0.98, 0.85))
    add_objects(rng, leaf_map, depth=0.6)
    if rng.random() < 0.6:
        crowd = int(np.exp(rng.uniform(math.log(20), math.log(2500))) * (size / 512) ** 1.5) + 2
        smallest = max(2.0, size * 0.05 / math.sqrt(1 + crowd / 40))
        add_leaves(rng, leaf_map, count=crowd, radii=(smallest, size * rng.uniform(0.25, 0.6)), depths=(0.8, 0.45))
    add_objects(rng, leaf_map, depth=0.4)
    radiance, depth, _ = shade(leaf_map, draw_surfaces(rng, style, leaf_map=leaf_map))
    radiance *= shadow(rng, depth)[..., None]
    return (gaussian_blur(radiance, defocus) if defocus else radiance), depth


def near_layer(
    rng: np.random.Generator, style: Style, *, radiance: np.ndarray, depth: np.ndarray, sharp: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Draw things in front of the scene, with their shadow on it; rarely out of focus unless they must be `sharp`."""
    size = len(depth)
    leaf_map = LeafMap(size, SUPERSAMPLING)
    leaf_map.add((0, 0), 1.0, depth=1.0)
    count = int(np.exp(rng.uniform(0, math.log(150))))
    smallest = max(2.0, size * 0.08 / math.sqrt(1 + count / 10))
    if sharp:
        # A picture without anything in focus would be a blurred one: a large textured thing and a patch of small ones.
        add_leaves(rng, leaf_map, count=int(rng.integers(2, 6)), radii=(size * 0.2, size * 0.5), depths=(0.5, 0.4))
        add_foliage(rng, leaf_map, depth=0.4)
    add_leaves(rng, leaf_map, count=count, radii=(smallest, size * rng.uniform(0.3, 0.6)), depths=(0.4, 0.02))
    add_objects(rng, leaf_map, depth=0.1)
    drawn, near, coverage = shade(leaf_map, draw_surfaces(rng, style, leaf_map=leaf_map))
    behind = np.where(coverage > 0.5, near, depth)
    if rng.random() < 0.5:
        radiance = radiance * shadow(rng, behind)[..., None]
    if not sharp and rng.random() < 0.15:
        blur = float(rng.uniform(1.5, 8))
        drawn, coverage = gaussian_blur(drawn, blur), gaussian_blur(coverage[..., None], blur)[..., 0]
    return drawn + radiance * (1 - coverage[..., None]), behind
