"""What leaves are made of: colors of the picture, a bank of textures, and each leaf's own color, slope and gloss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .leaves import LeafMap

BANK_SIZE = 512
BANK_SEED = 20231010

# Texture bank: first spectra, then streaks (fur, grass, wood), then clouds, then man-made patterns.
SPECTRA, STREAKS, CLOUDS, PATTERNS = range(0, 14), range(14, 22), range(22, 26), range(26, 38)

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
        anchors = np.concatenate([anchors, np.array(PALETTES[names[rng.integers(len(names))]][:2], dtype=float)])
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


@lru_cache(maxsize=1)
def texture_bank() -> np.ndarray:
    """Return textures of zero mean and unit variance [n, 512, 512], drawn from a constant seed."""
    rng = np.random.default_rng(BANK_SEED)
    bank = [spectrum(rng, slope, stretch=float(rng.uniform(1, 1.6))) for slope in np.linspace(0.5, 2.2, len(SPECTRA))]
    bank += [spectrum(rng, slope, stretch=8.0) for slope in np.linspace(0.6, 1.8, len(STREAKS))]
    bank += [spectrum(rng, slope, stretch=1.5) for slope in np.linspace(1.7, 2.5, len(CLOUDS))]
    bank += [pattern(rng, number) for number in range(len(PATTERNS))]
    return np.stack([(t - t.mean()) / t.std() for t in bank]).astype(np.float32)


def spectrum(rng: np.random.Generator, slope: float, *, stretch: float) -> np.ndarray:
    """Noise with amplitude spectrum 1 / f^slope, elongated along x, sparse enough to have structure."""
    fy, fx = np.fft.fftfreq(BANK_SIZE)[:, None], np.fft.rfftfreq(BANK_SIZE)[None]
    f = np.hypot(fy, fx * stretch)
    f[0, 0] = 1
    noise = rng.standard_normal((BANK_SIZE, BANK_SIZE))
    noise *= np.abs(noise) ** rng.uniform(0, 1.5)
    picture = np.fft.irfft2(np.fft.rfft2(noise) / f**slope)
    picture *= np.exp(0.5 * normalize(np.fft.irfft2(np.fft.rfft2(rng.standard_normal(picture.shape)) / f**1.5)))
    return np.clip(normalize(picture), -4, 4)


def normalize(values: np.ndarray) -> np.ndarray:
    """Shift and scale to zero mean and unit variance."""
    return (values - values.mean()) / values.std()


def pattern(rng: np.random.Generator, number: int) -> np.ndarray:
    """Stripes, bricks, tiles or weave of a period that divides the bank's size, lightly worn."""
    y, x = np.mgrid[:BANK_SIZE, :BANK_SIZE]
    period = 2 ** int(rng.integers(3, 7))
    row = y // (period // 2)
    edge = rng.uniform(0.08, 0.25)
    joint_x, joint_y = (x / period) % 1 < edge, (y / period) % 1 < edge
    stripes = ((x / period) % 1 < rng.uniform(0.2, 0.6)).astype(float)
    joints = ((x / period + 0.5 * (row % 2)) % 1 < edge) | ((2 * y / period) % 1 < 2 * edge)
    tones = rng.normal(0, 0.35, (BANK_SIZE * 2 // period + 1, BANK_SIZE // period + 1))
    bricks = tones[row, (x // period + (row % 2)) % tones.shape[1]] - 1.5 * joints
    tiles = tones[y // period, x // period] - 2.0 * (joint_x | joint_y)
    weave = np.sin(2 * np.pi * x / period) * np.sin(2 * np.pi * y / period)
    pattern = (stripes, bricks, tiles, weave)[number % 4]
    return normalize(pattern) + 0.25 * spectrum(rng, 1.2, stretch=1.0)
