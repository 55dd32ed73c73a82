"""The dead leaves model: the map that leaves are drawn on, their outlines, sizes and places."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw


class LeafMap:
    """An integer map of leaf numbers (0 where nothing was drawn) and the geometry of each leaf.

    `top` is the height (as a fraction of the picture) above which small things are not scattered: the sky stays empty.
    """

    def __init__(self, size: int, scale: int, *, top: float = 0.0) -> None:
        self.size, self.scale, self.top = size, scale, top
        self.map = Image.new("I", (size * scale, size * scale), 0)
        self.draw = ImageDraw.Draw(self.map)
        self.place: list[tuple[float, float, float]] = []
        self.depth: list[tuple[float, float]] = []
        self.kind: list[str] = []
        self.family: list[int] = []

    def add(
        self,
        center: tuple[float, float],
        radius: float,
        *,
        depth: float,
        slope: float = 0.0,
        kind: str = "",
        family: int = -1,
    ) -> int:
        """Register a leaf (in pixels of the final picture) and return its number; a family shares its color."""
        self.place.append((center[0], center[1], 1.0 / max(radius, 1.0)))
        self.depth.append((depth, slope))
        self.kind.append(kind)
        self.family.append(family)
        return len(self.place) - 1

    def polygon(self, points: np.ndarray, leaf: int) -> None:
        """Fill an outline [N, 2] in pixels of the final picture."""
        self.draw.polygon((points * self.scale).ravel().tolist(), fill=leaf)

    def line(self, points: np.ndarray, leaf: int, *, width: float) -> None:
        """Draw a line through [N, 2], `width` pixels of the final picture wide."""
        pixels = max(1, round(width * self.scale))
        self.draw.line(
            (points * self.scale).ravel().tolist(), fill=leaf, width=pixels, joint="curve" if pixels > 3 else None
        )


def add_leaves(
    rng: np.random.Generator, leaf_map: LeafMap, *, count: int, radii: tuple[float, float], depths: tuple[float, float]
) -> None:
    """Occluding leaves from far to near, the small ones gathered around a few places."""
    size = leaf_map.size
    radius = leaf_radii(rng, count, smallest=radii[0], largest=radii[1])
    nests = rng.uniform(0, size, (int(rng.integers(1, 6)), 2))
    spread = size * rng.uniform(0.1, 0.35)
    nest = rng.integers(len(nests), size=count)
    near = nests[nest] + rng.normal(0, spread, (count, 2))
    gathered = rng.random(count) < rng.uniform(0.2, 1.0)
    centers = np.where(gathered[:, None], near, rng.uniform(-0.1 * size, 1.1 * size, (count, 2)))
    y, top = centers[:, 1], leaf_map.top * size
    centers[:, 1] = np.where(y < top, 2 * top - y, y)
    family = np.where(gathered & (rng.random(count) < 0.7), 7 * nest + rng.integers(0, 2, count), -1)
    forms = [outline(rng, 1.0) for _ in range(min(count, 16))]
    for i, depth in enumerate(np.linspace(*depths, count)):
        leaf = leaf_map.add((centers[i, 0], centers[i, 1]), radius[i], depth=depth, family=int(family[i]))
        points = outline(rng, radius[i]) if radius[i] > 12 else forms[int(rng.integers(len(forms)))] * radius[i]
        leaf_map.polygon(centers[i] + (cut_hole(points, 0.6) if rng.random() < 0.08 else points), leaf)


def leaf_radii(rng: np.random.Generator, count: int, *, smallest: float, largest: float) -> np.ndarray:
    """Radii of density r^-3 between two bounds, by inversion."""
    a, b = smallest**-2, largest**-2
    return (a - rng.random(count) * (a - b)) ** -0.5


def outline(rng: np.random.Generator, radius: float) -> np.ndarray:
    """Return a closed outline [N, 2] around the origin: ellipse, smooth blob, polygon, box or star."""
    form = rng.choice(5, p=(0.25, 0.3, 0.2, 0.2, 0.05))
    count = int(np.clip(radius * 1.5, 8, 48)) if form < 2 else (int(rng.integers(3, 8)), 4, 10)[form - 2]
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    length = np.ones(count)
    if form == 1:
        for wave in (2, 3, 5):
            length += rng.normal(0, 0.35 / wave) * np.cos(wave * angle + rng.uniform(0, 6.3))
    elif form == 2:
        angle = np.sort(angle + rng.uniform(-0.5, 0.5, count))
    elif form == 4:
        length[::2] = rng.uniform(0.35, 0.7)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (radius * length)[:, None]
    if form == 3:
        points = points @ np.array([[math.sqrt(0.5), math.sqrt(0.5)], [-math.sqrt(0.5), math.sqrt(0.5)]])
    points[:, 1] *= math.exp(rng.uniform(-1.2, 0))
    return points @ rotation(rng.normal(0, 0.12) if form == 3 and rng.random() < 0.7 else rng.uniform(0, 6.3))


def rotation(angle: float) -> np.ndarray:
    """Return the matrix [2, 2] that rotates row vectors by `angle` radians."""
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def cut_hole(points: np.ndarray, fraction: float) -> np.ndarray:
    """Cut a hole of a fraction of its size into an outline [N, 2]; the result is one path, joined by a seam."""
    inner = points[::-1] * fraction
    return np.concatenate([points, points[:1], inner[-1:], inner, points[:1]])
