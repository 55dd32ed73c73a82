"""Things with a structure that random leaves lack: foliage, hair, trees, wires, writing, buildings, hills."""

from __future__ import annotations

import math

import numpy as np

from .leaves import LeafMap, outline, rotation


def add_foliage(rng: np.random.Generator, leaf_map: LeafMap, *, depth: float) -> None:
    """Draw a dense patch of like things of like size: leaves, pebbles, petals, a crowd."""
    size = leaf_map.size
    radius = float(np.exp(rng.uniform(math.log(1.5), math.log(max(size / 25, 2)))))
    extent = size * rng.uniform(0.08, 0.4, 2)
    center = np.array([rng.uniform(0, size), rng.uniform(leaf_map.top, 1.1) * size])
    count = int(min(1200, 1.6 * extent[0] * extent[1] / radius**2))
    offsets = rng.normal(0, 0.6, (count, 2)) if rng.random() < 0.5 else rng.uniform(-1, 1, (count, 2))
    families = rng.integers(0, 64, int(rng.integers(1, 4)))
    forms = [outline(rng, 1.0) for _ in range(6)]
    for i in range(count):
        place = center + offsets[i] * extent
        scale = radius * math.exp(0.3 * offsets[i, 0])
        family = int(families[i % len(families)])
        leaf = leaf_map.add((place[0], place[1]), scale, depth=depth * (1 - 0.1 * i / count), family=family)
        leaf_map.polygon(place + forms[i % 6] * scale, leaf)


def add_hair(rng: np.random.Generator, leaf_map: LeafMap, *, depth: float) -> None:
    """Draw a tuft of hair-like curves or grass in a few tones."""
    size = leaf_map.size
    center, spread = rng.uniform(0, size, 2), rng.uniform(0.05, 0.3, 2) * size
    length, angle, bend = rng.uniform(0.05, 0.3) * size, rng.uniform(0, 6.3), rng.normal(0, 0.6)
    tones = [leaf_map.add((center[0], center[1]), spread.max(), depth=depth) for _ in range(6)]
    width = rng.uniform(0.5, 2.5)
    for i in range(int(rng.integers(40, 250))):
        curve = wavy_line(
            rng, center + rng.normal(0, spread), angle=angle + rng.normal(0, 0.2), length=length, bend=bend
        )
        leaf_map.line(curve, tones[i % 6], width=width)


def add_tree(rng: np.random.Generator, leaf_map: LeafMap, *, depth: float) -> None:
    """Draw a branching tree, sometimes with leaves on its twigs."""
    size = leaf_map.size
    root = np.array([rng.uniform(0, size), size * rng.uniform(0.6, 1.1)])
    bark = leaf_map.add((root[0], root[1]), size * 0.3, depth=depth)
    greens = [leaf_map.add((root[0], root[1] - size * 0.3), size * 0.3, depth=depth) for _ in range(5)]
    branches = [
        (root, -math.pi / 2 + rng.normal(0, 0.15), size * rng.uniform(0.15, 0.35), size * rng.uniform(0.008, 0.04))
    ]
    leafy = rng.random() < 0.5
    for _ in range(90):
        if not branches:
            return
        start, angle, length, width = branches.pop(0)
        curve = wavy_line(rng, start, angle=angle, length=length, bend=rng.normal(0, 0.3))
        leaf_map.line(curve, bark, width=max(width, 0.5))
        if leafy and width < size * 0.006:
            for point in curve[::2]:
                leaf_map.polygon(point + outline(rng, size * 0.008) + rng.normal(0, 4, 2), greens[int(rng.integers(5))])
        turns = rng.normal((-0.45, 0.45), 0.2)
        branches += [(curve[-1], angle + turn, length * rng.uniform(0.6, 0.9), width * 0.65) for turn in turns]


def wavy_line(rng: np.random.Generator, start: np.ndarray, *, angle: float, length: float, bend: float) -> np.ndarray:
    """Return a slightly wavy line [9, 2] that turns by `bend` radians on its way."""
    steps = 8
    angles = angle + np.linspace(0, bend, steps) + rng.normal(0, 0.05, steps)
    return (
        start + np.concatenate([[[0, 0]], np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1), 0)]) * length / steps
    )


def add_wires(rng: np.random.Generator, leaf_map: LeafMap, *, depth: float) -> None:
    """Draw one to six wires that sag between two heights."""
    size = leaf_map.size
    wire = leaf_map.add((size / 2, size / 2), size, depth=depth, kind="flat")
    heights, sag = rng.uniform(0, size, 2), rng.uniform(0, 0.15) * size
    x = np.linspace(-5, size + 5, 24)
    t = x / size
    for i in range(int(rng.integers(1, 7))):
        y = heights[0] + (heights[1] - heights[0]) * t + sag * 4 * t * (1 - t) + i * size * 0.03
        leaf_map.line(np.stack([x, y], 1), wire, width=rng.uniform(0.5, 2))


def add_marks(rng: np.random.Generator, leaf_map: LeafMap, *, depth: float) -> None:
    """Draw lines of glyph-like marks on a plate, as on signs, books and packages."""
    size = leaf_map.size
    height = float(np.exp(rng.uniform(math.log(4), math.log(max(size / 8, 5)))))
    rows, columns = int(rng.integers(1, 8)), int(rng.integers(3, 16))
    corner, turn = rng.uniform(-0.1, 0.8, 2) * size, rotation(rng.normal(0, 0.1))
    plate = leaf_map.add((corner[0], corner[1]), columns * height, depth=depth, kind="flat")
    ink = leaf_map.add((corner[0], corner[1]), columns * height, depth=depth, kind="flat")
    area = np.array([[-1, -1], [columns, -1], [columns, rows * 1.6], [-1, rows * 1.6]]) * height
    leaf_map.polygon(corner + area @ turn, plate)
    alphabet = [rng.integers(0, (3, 4), (int(rng.integers(3, 6)), 2)) * (0.3, 0.33) for _ in range(12)]
    for row in range(rows):
        for column in range(int(rng.integers(columns // 2, columns))):
            if rng.random() > 0.15:
                glyph = (alphabet[int(rng.integers(12))] + (column * 0.9, row * 1.5)) * height
                leaf_map.line(corner + glyph @ turn, ink, width=height * 0.12)


def add_facade(rng: np.random.Generator, leaf_map: LeafMap, *, depth: float) -> None:
    """Draw a building front in perspective with rows of windows."""
    size = leaf_map.size
    left, right = np.sort(rng.uniform(-0.2, 1.2, 2)) * size
    tops, foot = size * rng.uniform(-0.1, 0.6, 2), size * rng.uniform(0.8, 1.4)
    quad = np.array([[left, tops[0]], [right, tops[1]], [right, foot], [left, foot]])
    middle = quad.mean(0)
    wall = leaf_map.add((middle[0], middle[1]), size * 0.5, depth=depth)
    glass = [leaf_map.add((middle[0], middle[1]), size * 0.5, depth=depth, kind="flat") for _ in range(3)]
    leaf_map.polygon(quad, wall)
    rows, columns = int(rng.integers(2, 12)), int(rng.integers(2, 12))
    width, height = rng.uniform(0.3, 0.8, 2)
    for row in range(rows):
        for column in range(columns):
            u = (column + 0.5 + width * np.array([-0.5, 0.5, 0.5, -0.5])) / columns
            v = (row + 0.5 + height * np.array([-0.5, -0.5, 0.5, 0.5])) / rows
            top = quad[0] + u[:, None] * (quad[1] - quad[0])
            bottom = quad[3] + u[:, None] * (quad[2] - quad[3])
            leaf_map.polygon(top + v[:, None] * (bottom - top), glass[int(rng.choice(3, p=(0.7, 0.2, 0.1)))])


def add_hills(rng: np.random.Generator, leaf_map: LeafMap, *, horizon: float) -> None:
    """Draw ridges in front of a sky, the last one the ground that comes toward the viewer."""
    size = leaf_map.size
    x = np.linspace(-2, size + 2, 64)
    count = int(rng.integers(1, 5))
    for i in range(count):
        rough = np.cumsum(rng.normal(0, 1, 64)) * rng.uniform(0, 0.012) * size * (1 - i / count)
        wave = np.sin(x / size * rng.uniform(2, 9) + rng.uniform(0, 6.3)) * size * 0.04
        y = horizon * size + i * size * 0.07 + rough - rough.mean() + wave * (i < count - 1)
        ground = i == count - 1
        near = 0.9 - 0.5 * i / count
        leaf = leaf_map.add((size / 2, float(y.mean())), size * (1 - horizon), depth=near, slope=-0.8 * near * ground)
        leaf_map.polygon(np.concatenate([np.stack([x, y], 1), [[size + 2, size + 2], [-2, size + 2]]]), leaf)


OBJECTS = (add_foliage, add_hair, add_tree, add_wires, add_marks, add_facade)


def add_objects(rng: np.random.Generator, leaf_map: LeafMap, *, depth: float) -> None:
    """Each kind of thing but hills, with a chance of one in four."""
    for add in OBJECTS:
        if rng.random() < 0.25:
            add(rng, leaf_map, depth=depth)
