"""Procedural pictures with the local statistics of photographs: occluding leaves, textures, light, depth of field.

Shapes are drawn as leaf numbers into an integer map at twice the size, then all pixels are shaded together from
per-leaf tables; this makes thousands of leaves affordable and gives anti-aliased edges.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from ..errors import InputError

SUPERSAMPLING = 2
BANK_SIZE = 512
BANK_SEED = 20231010
BAND_ROWS = 64

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
class Scene:
    """A drawn picture (uint8 [H, W, 3]) and its depth (uint8 [H, W], 0 near .. 255 far)."""

    image: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True)
class _Style:
    """What all leaves of one picture share: colours (linear RGB [n, 3]), light direction and amounts."""

    colours: np.ndarray
    light: float
    shading: float
    texture: float
    saturation: float
    man_made: float


@dataclass(frozen=True)
class _Leaves:
    """Per-leaf tables, one row for each number in a sheet."""

    place: np.ndarray  # [n, 3] centre x, centre y, 1 / radius
    depth: np.ndarray  # [n, 2] at the centre, change per radius downwards
    albedo: np.ndarray  # [n, 3] linear RGB
    tint: np.ndarray  # [n, 3] added per unit of texture
    shade: np.ndarray  # [n, 3] log-luminance slopes in x and y, curvature
    texture: np.ndarray  # [n, 2] amplitude in log-luminance, number in the bank
    mapping: np.ndarray  # [n, 4] cosine and sine times scale, offsets
    gloss: np.ndarray  # [n, 3] strength, centre in radii


class _Sheet:
    """An integer map of leaf numbers (0 where nothing was drawn) and the geometry of each leaf.

    `top` is the height (as a share of the picture) above which small things are not scattered: the sky stays empty.
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
        centre: tuple[float, float],
        radius: float,
        *,
        depth: float,
        slope: float = 0.0,
        kind: str = "",
        family: int = -1,
    ) -> int:
        """Register a leaf (in pixels of the final picture) and return its number; a family shares its colour."""
        self.place.append((centre[0], centre[1], 1.0 / max(radius, 1.0)))
        self.depth.append((depth, slope))
        self.kind.append(kind)
        self.family.append(family)
        return len(self.place) - 1

    def polygon(self, points: np.ndarray, leaf: int) -> None:
        self.draw.polygon((points * self.scale).ravel().tolist(), fill=leaf)

    def line(self, points: np.ndarray, leaf: int, *, width: float) -> None:
        pixels = max(1, round(width * self.scale))
        self.draw.line(
            (points * self.scale).ravel().tolist(), fill=leaf, width=pixels, joint="curve" if pixels > 3 else None
        )


def draw_scene(seed: int, size: int = 512) -> Scene:
    """Draw one picture, the same for the same seed.

    Returns a `Scene` with image uint8 [size, size, 3] and depth uint8 [size, size].
    Raises InputError for a size below 16.
    Source: dead leaves with radius density r^-3 and 1/f textures (Lee, Mumford, Huang 2001; Madhusudana et al. 2021).
    """
    if size < 16:
        raise InputError(f"size must be at least 16 pixels, got {size}: ask for a larger picture")
    rng = np.random.default_rng(seed)
    style = _draw_style(rng)
    defocus = float(np.exp(rng.uniform(0, math.log(14)))) if rng.random() < 0.35 else 0.0
    radiance, depth = _back(rng, style, size=size, defocus=defocus)
    if defocus or rng.random() < 0.5:
        radiance, depth = _front(rng, style, radiance=radiance, depth=depth, sharp=defocus > 0)
    return Scene(_photograph(rng, radiance), np.rint(255 * np.clip(depth, 0, 1)).astype(np.uint8))


# Colours


def _linear_rgb(lab: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) [..., 3] to linear sRGB, clipped to 0.005 .. 1."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * np.array([0.9505, 1.0, 1.089])
    matrix = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    return np.clip(xyz @ matrix.T, 0.005, 1)


def _draw_style(rng: np.random.Generator) -> _Style:
    names = list(PALETTES)
    anchors = np.array(PALETTES[names[rng.integers(len(names))]], dtype=float)
    if rng.random() < 0.4:
        anchors = np.concatenate([anchors, PALETTES[names[rng.integers(len(names))]][:2]])
    saturation = 0.0 if rng.random() < 0.05 else float(rng.uniform(0.45, 1.3))
    anchors = anchors[rng.integers(len(anchors), size=64)] + rng.normal(0, (13, 4, 6), (64, 3))
    anchors[:, 1:] = (anchors[:, 1:] + rng.normal(0, 3, 2)) * saturation
    return _Style(
        colours=_linear_rgb(np.clip(anchors, (4, -80, -80), (97, 80, 80))),
        light=float(rng.uniform(0, 2 * math.pi)),
        shading=float(rng.uniform(0.1, 0.9)),
        texture=float(np.exp(rng.normal(-1.0, 0.5))) * (0.3 if rng.random() < 0.15 else 1.0),
        saturation=saturation,
        man_made=float(rng.beta(0.6, 1.6)),
    )


# Textures


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """Textures of zero mean and unit variance [n, 512, 512], drawn from a constant seed."""
    rng = np.random.default_rng(BANK_SEED)
    bank = [_spectrum(rng, slope, stretch=float(rng.uniform(1, 1.6))) for slope in np.linspace(0.5, 2.2, len(SPECTRA))]
    bank += [_spectrum(rng, slope, stretch=8.0) for slope in np.linspace(0.6, 1.8, len(STREAKS))]
    bank += [_spectrum(rng, slope, stretch=1.5) for slope in np.linspace(1.7, 2.5, len(CLOUDS))]
    bank += [_pattern(rng, number) for number in range(len(PATTERNS))]
    return np.stack([(t - t.mean()) / t.std() for t in bank]).astype(np.float32)


def _spectrum(rng: np.random.Generator, slope: float, *, stretch: float) -> np.ndarray:
    """Noise with amplitude spectrum 1 / f^slope, elongated along x, sparse enough to have structure."""
    fy, fx = np.fft.fftfreq(BANK_SIZE)[:, None], np.fft.rfftfreq(BANK_SIZE)[None]
    f = np.hypot(fy, fx * stretch)
    f[0, 0] = 1
    noise = rng.standard_normal((BANK_SIZE, BANK_SIZE))
    noise *= np.abs(noise) ** rng.uniform(0, 1.5)
    picture = np.fft.irfft2(np.fft.rfft2(noise) / f**slope)
    picture *= np.exp(0.5 * _normalised(np.fft.irfft2(np.fft.rfft2(rng.standard_normal(picture.shape)) / f**1.5)))
    return np.clip(_normalised(picture), -4, 4)


def _normalised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def _pattern(rng: np.random.Generator, number: int) -> np.ndarray:
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
    return _normalised(pattern) + 0.25 * _spectrum(rng, 1.2, stretch=1.0)


# Materials and shading


def _materials(rng: np.random.Generator, style: _Style, *, sheet: _Sheet) -> _Leaves:
    n = len(sheet.place)
    kind = np.array(sheet.kind)
    family = np.array(sheet.family)
    member = np.where(family >= 0, family, rng.integers(len(style.colours), size=n)) % len(style.colours)
    albedo = style.colours[member] * np.exp(
        rng.normal(0, 0.25, (n, 1)) + rng.normal(0, 0.08, (n, 3)) * style.saturation
    )
    sky = kind == "sky"
    if sky.any():
        albedo[sky] = _sky_colour(rng, style)
    slopes = style.shading * np.abs(rng.normal(0, 0.7, n))
    light = style.light + rng.normal(0, 0.5, n)
    round_leaf = rng.random(n) < 0.5
    shade = np.stack([slopes * np.cos(light), slopes * np.sin(light), round_leaf * slopes], axis=1)
    shade[sky] = np.stack(
        [np.full(sky.sum(), rng.normal(0, 0.1)), np.full(sky.sum(), rng.uniform(0, 0.35)), sky[sky] * 0], 1
    )
    angle = np.where(rng.random(n) < 0.5, rng.normal(style.light, 0.15, n), rng.uniform(0, 2 * math.pi, n))
    zoom = np.exp(rng.uniform(-0.9, 0.5, n))
    # Colours vary inside a surface mostly between warm and cool, never in a sky.
    warmth = np.outer(rng.normal(0, 0.1, n), (1.0, 0.1, -1.0)) + rng.normal(0, 0.03, (n, 3))
    tint = warmth * style.saturation * (~sky & (rng.random(n) < 0.7))[:, None]
    gloss = (rng.random(n) < 0.06) * rng.exponential(0.3, n)
    return _Leaves(
        place=np.array(sheet.place, dtype=np.float32),
        depth=np.array(sheet.depth, dtype=np.float32),
        albedo=albedo.astype(np.float32),
        tint=(albedo * tint).astype(np.float32),
        shade=shade.astype(np.float32),
        texture=_leaf_textures(rng, style, kind=kind).astype(np.float32),
        mapping=np.stack([zoom * np.cos(angle), zoom * np.sin(angle), *rng.uniform(0, 512, (2, n))], 1).astype(
            np.float32
        ),
        gloss=np.stack([gloss, 0.4 * np.cos(light), 0.4 * np.sin(light)], axis=1).astype(np.float32),
    )


def _leaf_textures(rng: np.random.Generator, style: _Style, *, kind: np.ndarray) -> np.ndarray:
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


def _sky_colour(rng: np.random.Generator, style: _Style) -> np.ndarray:
    blue, cloudy, warm = (72.0, -6.0, -26.0), (90.0, 0.0, -2.0), (75.0, 14.0, 25.0)
    lab = np.array((blue, cloudy, warm)[rng.choice(3, p=(0.5, 0.38, 0.12))]) + rng.normal(0, (8, 2, 5))
    lab[1:] *= style.saturation
    return _linear_rgb(np.clip(lab, (4, -80, -80), (97, 80, 80)))


def _shade(sheet: _Sheet, leaves: _Leaves) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radiance [H, W, 3], depth [H, W] and coverage [H, W] of a sheet, reduced to the final size."""
    numbers = np.asarray(sheet.map)
    bands = [
        _shade_band(numbers[top : top + BAND_ROWS], leaves, top=top, scale=sheet.scale)
        for top in range(0, len(numbers), BAND_ROWS)
    ]
    radiance, depth, coverage = (np.concatenate(parts) for parts in zip(*bands, strict=True))
    return radiance, depth, coverage


def _shade_band(
    numbers: np.ndarray, leaves: _Leaves, *, top: int, scale: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = (np.arange(top, top + len(numbers), dtype=np.float32)[:, None] + 0.5) / scale
    x = (np.arange(numbers.shape[1], dtype=np.float32)[None] + 0.5) / scale
    flat = numbers.ravel()
    shape = numbers.shape

    def column(table: np.ndarray, index: int) -> np.ndarray:
        return np.ascontiguousarray(table[:, index])[flat].reshape(shape)

    inverse = column(leaves.place, 2)
    dx, dy = (x - column(leaves.place, 0)) * inverse, (y - column(leaves.place, 1)) * inverse
    texture = _texture(column, leaves, x=x * scale, y=y * scale)
    light = column(leaves.texture, 0) * texture
    light += np.clip(column(leaves.shade, 0) * dx + column(leaves.shade, 1) * dy, -2, 2)
    light -= column(leaves.shade, 2) * np.minimum(dx * dx + dy * dy, 2)
    radiance = leaves.tint[flat].reshape(*shape, 3) * np.clip(texture, -2, 2)[..., None]
    radiance += leaves.albedo[flat].reshape(*shape, 3)
    radiance *= np.exp(light)[..., None]
    spot = np.maximum(1 - 16 * ((dx + column(leaves.gloss, 1)) ** 2 + (dy + column(leaves.gloss, 2)) ** 2), 0)
    radiance += (column(leaves.gloss, 0) * spot * spot)[..., None]
    np.maximum(radiance, 0.001, out=radiance)
    depth = column(leaves.depth, 0) + column(leaves.depth, 1) * dy
    coverage = (numbers > 0).astype(np.float32)
    return _reduce(radiance * coverage[..., None], scale), depth[::scale, ::scale], _reduce(coverage, scale)


def _texture(
    column: Callable[[np.ndarray, int], np.ndarray], leaves: _Leaves, *, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    cosine, sine = column(leaves.mapping, 0), column(leaves.mapping, 1)
    u = (cosine * x - sine * y + column(leaves.mapping, 2)).astype(np.int32) & (BANK_SIZE - 1)
    v = (sine * x + cosine * y + column(leaves.mapping, 3)).astype(np.int32) & (BANK_SIZE - 1)
    number = column(leaves.texture, 1).astype(np.int32)
    return _bank().ravel()[(number * BANK_SIZE + v) * BANK_SIZE + u]


def _reduce(values: np.ndarray, scale: int) -> np.ndarray:
    if scale == 1:
        return values
    rows = values[0::2] + values[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * 0.25


# Shapes


def _outline(rng: np.random.Generator, radius: float) -> np.ndarray:
    """A closed outline around the origin: ellipse, smooth blob, polygon, box or star."""
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
    return points @ _rotation(rng.normal(0, 0.12) if form == 3 and rng.random() < 0.7 else rng.uniform(0, 6.3))


def _rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def _holed(points: np.ndarray, share: float) -> np.ndarray:
    """The outline with a hole of the given share of its size, as one path joined by a seam."""
    inner = points[::-1] * share
    return np.concatenate([points, points[:1], inner[-1:], inner, points[:1]])


def _radii(rng: np.random.Generator, count: int, *, smallest: float, largest: float) -> np.ndarray:
    """Radii of density r^-3 between two bounds, by inversion."""
    a, b = smallest**-2, largest**-2
    return (a - rng.random(count) * (a - b)) ** -0.5


def _add_leaves(
    rng: np.random.Generator, sheet: _Sheet, *, count: int, radii: tuple[float, float], depths: tuple[float, float]
) -> None:
    """Occluding leaves from far to near, the small ones gathered around a few places."""
    size = sheet.size
    radius = _radii(rng, count, smallest=radii[0], largest=radii[1])
    nests = rng.uniform(0, size, (int(rng.integers(1, 6)), 2))
    spread = size * rng.uniform(0.1, 0.35)
    nest = rng.integers(len(nests), size=count)
    near = nests[nest] + rng.normal(0, spread, (count, 2))
    gathered = rng.random(count) < rng.uniform(0.2, 1.0)
    centres = np.where(gathered[:, None], near, rng.uniform(-0.1 * size, 1.1 * size, (count, 2)))
    centres[:, 1] = np.where(centres[:, 1] < sheet.top * size, 2 * sheet.top * size - centres[:, 1], centres[:, 1])
    family = np.where(gathered & (rng.random(count) < 0.7), 7 * nest + rng.integers(0, 2, count), -1)
    forms = [_outline(rng, 1.0) for _ in range(min(count, 16))]
    for i, depth in enumerate(np.linspace(*depths, count)):
        leaf = sheet.add((centres[i, 0], centres[i, 1]), radius[i], depth=depth, family=int(family[i]))
        points = _outline(rng, radius[i]) if radius[i] > 12 else forms[int(rng.integers(len(forms)))] * radius[i]
        sheet.polygon(centres[i] + (_holed(points, 0.6) if rng.random() < 0.08 else points), leaf)


def _add_foliage(rng: np.random.Generator, sheet: _Sheet, *, depth: float) -> None:
    """A dense patch of like things of like size: leaves, pebbles, petals, a crowd."""
    size = sheet.size
    radius = float(np.exp(rng.uniform(math.log(1.5), math.log(max(size / 25, 2)))))
    extent = size * rng.uniform(0.08, 0.4, 2)
    centre = np.array([rng.uniform(0, size), rng.uniform(sheet.top, 1.1) * size])
    count = int(min(1200, 1.6 * extent[0] * extent[1] / radius**2))
    offsets = rng.normal(0, 0.6, (count, 2)) if rng.random() < 0.5 else rng.uniform(-1, 1, (count, 2))
    families = rng.integers(0, 64, int(rng.integers(1, 4)))
    forms = [_outline(rng, 1.0) for _ in range(6)]
    for i in range(count):
        place = centre + offsets[i] * extent
        scale = radius * math.exp(0.3 * offsets[i, 0])
        family = int(families[i % len(families)])
        leaf = sheet.add((place[0], place[1]), scale, depth=depth * (1 - 0.1 * i / count), family=family)
        sheet.polygon(place + forms[i % 6] * scale, leaf)


def _curve(rng: np.random.Generator, start: np.ndarray, *, angle: float, length: float, bend: float) -> np.ndarray:
    steps = 8
    angles = angle + np.linspace(0, bend, steps) + rng.normal(0, 0.05, steps)
    return (
        start + np.concatenate([[[0, 0]], np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1), 0)]) * length / steps
    )


def _add_hair(rng: np.random.Generator, sheet: _Sheet, *, depth: float) -> None:
    """A tuft of hair-like curves or grass in a few tones."""
    size = sheet.size
    centre, spread = rng.uniform(0, size, 2), rng.uniform(0.05, 0.3, 2) * size
    length, angle, bend = rng.uniform(0.05, 0.3) * size, rng.uniform(0, 6.3), rng.normal(0, 0.6)
    tones = [sheet.add((centre[0], centre[1]), spread.max(), depth=depth) for _ in range(6)]
    width = rng.uniform(0.5, 2.5)
    for i in range(int(rng.integers(40, 250))):
        curve = _curve(rng, centre + rng.normal(0, spread), angle=angle + rng.normal(0, 0.2), length=length, bend=bend)
        sheet.line(curve, tones[i % 6], width=width)


def _add_tree(rng: np.random.Generator, sheet: _Sheet, *, depth: float) -> None:
    """A branching tree, sometimes with leaves on its twigs."""
    size = sheet.size
    root = np.array([rng.uniform(0, size), size * rng.uniform(0.6, 1.1)])
    bark = sheet.add((root[0], root[1]), size * 0.3, depth=depth)
    greens = [sheet.add((root[0], root[1] - size * 0.3), size * 0.3, depth=depth) for _ in range(5)]
    branches = [
        (root, -math.pi / 2 + rng.normal(0, 0.15), size * rng.uniform(0.15, 0.35), size * rng.uniform(0.008, 0.04))
    ]
    leafy = rng.random() < 0.5
    for _ in range(90):
        if not branches:
            return
        start, angle, length, width = branches.pop(0)
        curve = _curve(rng, start, angle=angle, length=length, bend=rng.normal(0, 0.3))
        sheet.line(curve, bark, width=max(width, 0.5))
        if leafy and width < size * 0.006:
            for point in curve[::2]:
                sheet.polygon(point + _outline(rng, size * 0.008) + rng.normal(0, 4, 2), greens[int(rng.integers(5))])
        turns = rng.normal((-0.45, 0.45), 0.2)
        branches += [(curve[-1], angle + turn, length * rng.uniform(0.6, 0.9), width * 0.65) for turn in turns]


def _add_wires(rng: np.random.Generator, sheet: _Sheet, *, depth: float) -> None:
    size = sheet.size
    wire = sheet.add((size / 2, size / 2), size, depth=depth, kind="flat")
    heights, sag = rng.uniform(0, size, 2), rng.uniform(0, 0.15) * size
    x = np.linspace(-5, size + 5, 24)
    t = x / size
    for i in range(int(rng.integers(1, 7))):
        y = heights[0] + (heights[1] - heights[0]) * t + sag * 4 * t * (1 - t) + i * size * 0.03
        sheet.line(np.stack([x, y], 1), wire, width=rng.uniform(0.5, 2))


def _add_marks(rng: np.random.Generator, sheet: _Sheet, *, depth: float) -> None:
    """Lines of glyph-like marks on a plate, as on signs, books and packages."""
    size = sheet.size
    height = float(np.exp(rng.uniform(math.log(4), math.log(max(size / 8, 5)))))
    rows, columns = int(rng.integers(1, 8)), int(rng.integers(3, 16))
    corner, turn = rng.uniform(-0.1, 0.8, 2) * size, _rotation(rng.normal(0, 0.1))
    plate = sheet.add((corner[0], corner[1]), columns * height, depth=depth, kind="flat")
    ink = sheet.add((corner[0], corner[1]), columns * height, depth=depth, kind="flat")
    area = np.array([[-1, -1], [columns, -1], [columns, rows * 1.6], [-1, rows * 1.6]]) * height
    sheet.polygon(corner + area @ turn, plate)
    alphabet = [rng.integers(0, (3, 4), (int(rng.integers(3, 6)), 2)) * (0.3, 0.33) for _ in range(12)]
    for row in range(rows):
        for column in range(int(rng.integers(columns // 2, columns))):
            if rng.random() > 0.15:
                glyph = (alphabet[int(rng.integers(12))] + (column * 0.9, row * 1.5)) * height
                sheet.line(corner + glyph @ turn, ink, width=height * 0.12)


def _add_facade(rng: np.random.Generator, sheet: _Sheet, *, depth: float) -> None:
    """A building front in perspective with rows of windows."""
    size = sheet.size
    left, right = np.sort(rng.uniform(-0.2, 1.2, 2)) * size
    tops, foot = size * rng.uniform(-0.1, 0.6, 2), size * rng.uniform(0.8, 1.4)
    quad = np.array([[left, tops[0]], [right, tops[1]], [right, foot], [left, foot]])
    middle = quad.mean(0)
    wall = sheet.add((middle[0], middle[1]), size * 0.5, depth=depth)
    glass = [sheet.add((middle[0], middle[1]), size * 0.5, depth=depth, kind="flat") for _ in range(3)]
    sheet.polygon(quad, wall)
    rows, columns = int(rng.integers(2, 12)), int(rng.integers(2, 12))
    width, height = rng.uniform(0.3, 0.8, 2)
    for row in range(rows):
        for column in range(columns):
            u = (column + 0.5 + width * np.array([-0.5, 0.5, 0.5, -0.5])) / columns
            v = (row + 0.5 + height * np.array([-0.5, -0.5, 0.5, 0.5])) / rows
            top = quad[0] + u[:, None] * (quad[1] - quad[0])
            bottom = quad[3] + u[:, None] * (quad[2] - quad[3])
            sheet.polygon(top + v[:, None] * (bottom - top), glass[int(rng.choice(3, p=(0.7, 0.2, 0.1)))])


def _add_hills(rng: np.random.Generator, sheet: _Sheet, *, horizon: float) -> None:
    """Ridges before a sky, the last one the ground that comes towards the viewer."""
    size = sheet.size
    x = np.linspace(-2, size + 2, 64)
    count = int(rng.integers(1, 5))
    for i in range(count):
        rough = np.cumsum(rng.normal(0, 1, 64)) * rng.uniform(0, 0.012) * size * (1 - i / count)
        wave = np.sin(x / size * rng.uniform(2, 9) + rng.uniform(0, 6.3)) * size * 0.04
        y = horizon * size + i * size * 0.07 + rough - rough.mean() + wave * (i < count - 1)
        ground = i == count - 1
        near = 0.9 - 0.5 * i / count
        leaf = sheet.add((size / 2, float(y.mean())), size * (1 - horizon), depth=near, slope=-0.8 * near * ground)
        sheet.polygon(np.concatenate([np.stack([x, y], 1), [[size + 2, size + 2], [-2, size + 2]]]), leaf)


_DETAILS = (_add_foliage, _add_hair, _add_tree, _add_wires, _add_marks, _add_facade)


def _add_details(rng: np.random.Generator, sheet: _Sheet, *, depth: float) -> None:
    for add in _DETAILS:
        if rng.random() < 0.25:
            add(rng, sheet, depth=depth)


# Layers


def _back(rng: np.random.Generator, style: _Style, *, size: int, defocus: float) -> tuple[np.ndarray, np.ndarray]:
    """The far part of a scene, out of focus by `defocus` pixels; radiance [H, W, 3], depth [H, W]."""
    sky = rng.random() < 0.35
    horizon = float(rng.uniform(0.15, 0.75))
    sheet = _Sheet(size, 1 if defocus > 1.5 else SUPERSAMPLING, top=horizon if sky else 0.0)
    for _ in range(2):
        sheet.add((size / 2, size / 2), size * 0.5, depth=1.0, kind="sky" if sky else "")
    sheet.map.paste(1, (0, 0, *sheet.map.size))
    if sky:
        _add_hills(rng, sheet, horizon=horizon)
    else:
        _add_leaves(rng, sheet, count=int(rng.integers(1, 30)), radii=(size * 0.12, size * 0.8), depths=(0.98, 0.85))
    _add_details(rng, sheet, depth=0.6)
    if rng.random() < 0.6:
        crowd = int(np.exp(rng.uniform(math.log(20), math.log(2500))) * (size / 512) ** 1.5) + 2
        smallest = max(2.0, size * 0.05 / math.sqrt(1 + crowd / 40))
        _add_leaves(rng, sheet, count=crowd, radii=(smallest, size * rng.uniform(0.25, 0.6)), depths=(0.8, 0.45))
    _add_details(rng, sheet, depth=0.4)
    radiance, depth, _ = _shade(sheet, _materials(rng, style, sheet=sheet))
    radiance *= _shadow(rng, depth)[..., None]
    return (_blur(radiance, defocus) if defocus else radiance), depth


def _front(
    rng: np.random.Generator, style: _Style, *, radiance: np.ndarray, depth: np.ndarray, sharp: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Things before the scene, with their shadow on it; rarely out of focus unless they must be `sharp`."""
    size = len(depth)
    sheet = _Sheet(size, SUPERSAMPLING)
    sheet.add((0, 0), 1.0, depth=1.0)
    count = int(np.exp(rng.uniform(0, math.log(150))))
    smallest = max(2.0, size * 0.08 / math.sqrt(1 + count / 10))
    if sharp:
        # A picture without anything in focus would be a blurred one: a large textured thing and a patch of small ones.
        _add_leaves(rng, sheet, count=int(rng.integers(2, 6)), radii=(size * 0.2, size * 0.5), depths=(0.5, 0.4))
        _add_foliage(rng, sheet, depth=0.4)
    _add_leaves(rng, sheet, count=count, radii=(smallest, size * rng.uniform(0.3, 0.6)), depths=(0.4, 0.02))
    _add_details(rng, sheet, depth=0.1)
    drawn, near, coverage = _shade(sheet, _materials(rng, style, sheet=sheet))
    behind = np.where(coverage > 0.5, near, depth)
    if rng.random() < 0.5:
        radiance = radiance * _shadow(rng, behind)[..., None]
    if not sharp and rng.random() < 0.15:
        blur = float(rng.uniform(1.5, 8))
        drawn, coverage = _blur(drawn, blur), _blur(coverage[..., None], blur)[..., 0]
    return drawn + radiance * (1 - coverage[..., None]), behind


def _shadow(rng: np.random.Generator, depth: np.ndarray) -> np.ndarray:
    """Light that reaches each pixel: nearer things shade what lies behind them, shifted away from the light."""
    strength = rng.uniform(0, 0.75)
    softness = float(np.exp(rng.uniform(0, 2.3)))
    shift = rng.normal(0, len(depth) / 60, 2).astype(int)
    caster = np.roll(_blur(depth[..., None], softness)[..., 0], shift, (0, 1))
    return 1 - strength * np.clip((depth - caster) * 4, 0, 1)


def _blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of [H, W, C] with mirrored borders; wide blurs are done at reduced size."""
    height, width = values.shape[:2]
    if sigma > 4 and min(height, width) >= 32 and height % 2 == 0 and width % 2 == 0:
        return _enlarge(_blur(_reduce(values, 2), math.sqrt(sigma**2 / 4 - 0.1)))
    reach = min(max(1, math.ceil(2.7 * sigma)), min(height, width) - 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(values, padding, mode="reflect")
        length = values.shape[axis]
        values = np.zeros_like(values)
        for i, weight in enumerate(kernel):
            values += weight * (padded[i : i + length] if axis == 0 else padded[:, i : i + length])
    return values


def _enlarge(values: np.ndarray) -> np.ndarray:
    size = (values.shape[1] * 2, values.shape[0] * 2)
    planes = [Image.fromarray(np.ascontiguousarray(values[..., c])) for c in range(values.shape[2])]
    return np.stack([np.asarray(plane.resize(size, Image.Resampling.BICUBIC)) for plane in planes], axis=-1)


# Camera


def _photograph(rng: np.random.Generator, radiance: np.ndarray) -> np.ndarray:
    """What a camera makes of linear radiance: softness, exposure, tones, grain, sometimes JPEG; uint8 [H, W, 3]."""
    size = len(radiance)
    softness = float(rng.uniform(0.0, 0.8))
    if softness > 0.25:
        radiance = _blur(radiance, softness)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    vignette = 1 - rng.uniform(0, 0.3) * (rng.random() < 0.4) * (x * x + y * y)
    slope = np.exp(rng.normal(0, 0.25) * x + rng.normal(0, 0.25) * y)
    encoded = _tone(rng, radiance * (vignette * slope).astype(np.float32)[..., None])
    levels = encoded * 255 + _grain(rng, encoded)
    picture = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return _jpeg(picture, int(rng.integers(75, 99))) if rng.random() < 0.35 else picture


def _tone(rng: np.random.Generator, radiance: np.ndarray) -> np.ndarray:
    """Exposure to a drawn key, a highlight shoulder, display gamma and contrast; about 0..1."""
    luminance = radiance @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    key = rng.uniform(0.6, 0.8) if rng.random() < 0.1 else np.clip(rng.normal(0.46, 0.09), 0.25, 0.7)
    exposed = radiance * np.float32(1.1 * key**2.2 / np.mean(np.sqrt(luminance)) ** 2)
    shoulder = rng.uniform(2.0, 5.0)
    exposed /= (1 + np.minimum(exposed, 50) ** shoulder) ** (1 / shoulder)
    encoded = np.maximum(exposed, 0) ** np.float32(1 / 2.2)
    encoded += np.float32(rng.uniform(-0.1, 0.6)) * (encoded * encoded * (3 - 2 * encoded) - encoded)
    if rng.random() < 0.13:
        return _low_key(rng, encoded)
    return _stretched(encoded, strength=float(rng.beta(1.5, 1.5)))


def _low_key(rng: np.random.Generator, encoded: np.ndarray) -> np.ndarray:
    """A night or stage picture: mostly dark, but its lights stay bright, unlike an underexposed one."""
    scaled = encoded / max(float(np.quantile(encoded[::8, ::8], 0.995)), 0.05)
    key = rng.uniform(0.08, 0.27)
    gamma = float(np.clip(math.log(key) / math.log(min(float(scaled.mean()), 0.9)), 1.0, 3.5))
    return np.float32(rng.uniform(0.75, 1.05)) * scaled ** np.float32(gamma)


def _stretched(encoded: np.ndarray, *, strength: float) -> np.ndarray:
    """Black and white points moved towards the ends by the given share; the mean, and so the key, stays."""
    dark, bright = np.quantile(encoded[::8, ::8], (0.01, 0.99))
    levelled = (encoded - encoded.mean()) * np.float32(min(0.95 / max(bright - dark, 0.05), 2.5)) + encoded.mean()
    return encoded + np.float32(strength) * (levelled - encoded)


def _grain(rng: np.random.Generator, encoded: np.ndarray) -> np.ndarray:
    """Sensor grain in grey levels, mostly of luminance, below two levels."""
    amount = rng.uniform(0, 1.6) * (rng.random() < 0.75)
    grain = rng.standard_normal((*encoded.shape[:2], 1), dtype=np.float32)
    colour = rng.standard_normal(encoded.shape, dtype=np.float32)
    return np.float32(amount) * (0.85 * grain + 0.4 * colour)


def _jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
