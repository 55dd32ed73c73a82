"""Colors of places, and the style that all leaves of one picture share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Surroundings of a picture as Lab anchors (L*, a*, b*): what photographs of such places are mostly made of.
PALETTES = {
    "forest": ((25, -12, 20), (45, -22, 35), (60, -18, 45), (35, 8, 18), (75, -5, 15), (15, -3, 6)),
    "meadow": ((50, -25, 40), (65, -20, 50), (75, 5, 60), (80, -3, -10), (40, -12, 25), (85, 12, 5)),
    "earth": ((35, 10, 20), (55, 12, 28), (70, 8, 22), (25, 6, 10), (82, 3, 12), (48, 18, 30)),
    "coast": ((70, -5, -20), (50, -8, -28), (82, 2, 10), (60, 4, 16), (92, 0, -3), (30, -2, -10)),
    "city": ((45, 0, 2), (62, 1, 5), (28, 0, -4), (78, 2, 8), (50, 20, 20), (88, 0, 1), (35, 3, -18)),
    "skin": ((65, 16, 20), (75, 13, 18), (50, 18, 22), (30, 10, 12), (85, 5, 8), (20, 2, 3), (45, 2, -15)),
    "room": ((80, 2, 12), (60, 8, 24), (40, 12, 20), (90, 0, 5), (25, 3, 3), (55, -3, -8), (50, 35, 25)),
    "market": ((50, 55, 38), (70, 10, 65), (45, -35, 30), (40, 8, -40), (88, 0, 4), (25, 5, 5), (60, 35, 45)),
    "stone": ((50, 1, 4), (65, 1, 6), (35, 0, 2), (78, 0, 3), (20, 0, 0), (58, 4, 12)),
    "sunset": ((60, 28, 40), (75, 15, 45), (35, 18, -5), (20, 6, -10), (50, 35, 25), (12, 2, -4)),
}


@dataclass(frozen=True)
class Style:
    """What all leaves of one picture share: colors (linear RGB [n, 3]), light direction and amounts."""

    colors: np.ndarray
    light: float
    shading: float
    texture: float
    saturation: float
    man_made: float


def draw_style(rng: np.random.Generator) -> Style:
    """Draw 64 colors around the anchors of one place or two, and how strongly the picture is lit and textured."""
    names = list(PALETTES)
    anchors = np.array(PALETTES[names[rng.integers(len(names))]], dtype=float)
    if rng.random() < 0.4:
        anchors = np.concatenate([anchors, PALETTES[names[rng.integers(len(names))]][:2]])
    saturation = 0.0 if rng.random() < 0.05 else float(rng.uniform(0.45, 1.3))
    anchors = anchors[rng.integers(len(anchors), size=64)] + rng.normal(0, (13, 4, 6), (64, 3))
    anchors[:, 1:] = (anchors[:, 1:] + rng.normal(0, 3, 2)) * saturation
    return Style(
        colors=linear_rgb(np.clip(anchors, (4, -80, -80), (97, 80, 80))),
        light=float(rng.uniform(0, 2 * math.pi)),
        shading=float(rng.uniform(0.1, 0.9)),
        texture=float(np.exp(rng.normal(-1.0, 0.5))) * (0.3 if rng.random() < 0.15 else 1.0),
        saturation=saturation,
        man_made=float(rng.beta(0.6, 1.6)),
    )


def sky_color(rng: np.random.Generator, style: Style) -> np.ndarray:
    """Return a blue, cloudy or warm sky, linear RGB [3]."""
    blue, cloudy, warm = (72.0, -6.0, -26.0), (90.0, 0.0, -2.0), (75.0, 14.0, 25.0)
    lab = np.array((blue, cloudy, warm)[rng.choice(3, p=(0.5, 0.38, 0.12))]) + rng.normal(0, (8, 2, 5))
    lab[1:] *= style.saturation
    return linear_rgb(np.clip(lab, (4, -80, -80), (97, 80, 80)))


def linear_rgb(lab: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) [..., 3] to linear sRGB, clipped to 0.005 .. 1."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * np.array([0.9505, 1.0, 1.089])
    matrix = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    return np.clip(xyz @ matrix.T, 0.005, 1)
