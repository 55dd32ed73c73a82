"""Training pictures as tiles of 512 pixels: scenes, photographs and pairs, each in one memory-mapped .npy file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from autodir_core.errors import AutoDIRError, InputError
from autodir_core.imaging.files import read_picture
from autodir_core.imaging.layout import reflect_indices, to_uint8
from autodir_core.imaging.paths import list_pictures, warn_once

from .scenes.scene import draw_scene
from .tiles import TILE, LeftOut, MappedTiles, prepare

UNREADABLE, TOO_SMALL, FLAT, TWO_SIZES, ALONE = "unreadable", "too small", "flat", "of two sizes", "without counterpart"
"""Why pictures are left out."""

LARGE = 900
"""Pictures with a longer side give `TILES_PER_PICTURE[1]` tiles, others `TILES_PER_PICTURE[0]`."""

TILES_PER_PICTURE = 4, 10
MIN_CONTRAST = 12.0
"""Tiles of a photo with a lower standard deviation (of 0..255) are left out: sky and walls teach nothing."""

MIN_SIDE = TILE // 2
"""Photos with a shorter side would have to be enlarged too much to count as clean."""


def prepare_scenes(folder: Path, count: int, *, seed: int = 0) -> MappedTiles:
    """Return `count` scenes as tiles of color and depth, drawn unless `folder` has them."""
    return prepare(folder / f"scenes-{seed}-{count}.npy", scene_tiles, range(seed, seed + count), ProcessPoolExecutor)


def scene_tiles(seed: int) -> list[np.ndarray]:
    """Return one scene as uint8 [512, 512, 4]: color and depth."""
    scene = draw_scene(seed, TILE)
    return [np.concatenate([scene.image, scene.depth[..., None]], axis=-1)]


def prepare_photos(folder: Path, photos: Path) -> MappedTiles:
    """Return tiles of clean photographs, of color and depth, at scales from native to the whole picture.

    The depth is made up: far above, with smooth folds. InputError for a folder without pictures that are large and
    varied enough.
    """
    paths = list_pictures([photos], recursive=True)
    path = folder / f"photos-{fingerprint(paths)}.npy"
    # torch, which reads the files, must not be forked
    return prepare(path, photo_tiles, list(enumerate(paths)), ThreadPoolExecutor)


def photo_tiles(item: tuple[int, Path]) -> list[np.ndarray] | LeftOut:
    """Return the tiles [512, 512, 4] of one photo, left out where it is too small or all flat, or cannot be read."""
    seed, path = item
    try:
        picture = read_uint8(path)
    except AutoDIRError as error:
        return LeftOut(UNREADABLE, str(error))
    if min(picture.shape[:2]) < MIN_SIDE:
        return LeftOut(TOO_SMALL, f"{path}: a side is shorter than {MIN_SIDE} pixels")
    rng = np.random.default_rng(seed)
    tiles = [scaled_window(picture, rng) for _ in range(TILES_PER_PICTURE[max(picture.shape[:2]) > LARGE])]
    varied = [tile for tile in tiles if tile.std(axis=(0, 1)).mean() >= MIN_CONTRAST]
    if not varied:
        return LeftOut(FLAT, f"{path}: it is flat, such as sky or a wall, and teaches nothing")
    return [np.concatenate([tile, random_depth(rng)[..., None]], axis=-1) for tile in varied]


def scaled_window(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random square of [H, W, 3], from 512 pixels to the whole shorter side, scaled to 512."""
    height, width = picture.shape[:2]
    side = min(height, width)
    window = min(int(TILE * 2 ** rng.uniform(0, np.log2(max(side / TILE, 1)))), side)
    left, top = int(rng.integers(0, width - window + 1)), int(rng.integers(0, height - window + 1))
    square = picture[top : top + window, left : left + window]
    if window == TILE:
        return square
    return np.asarray(Image.fromarray(square).resize((TILE, TILE), Image.Resampling.LANCZOS))


def random_depth(rng: np.random.Generator) -> np.ndarray:
    """Return a plausible depth uint8 [512, 512], 255 is far."""
    coarse = Image.fromarray((rng.uniform(0, 1, (5, 5)) * 255).astype(np.uint8))
    folds = np.asarray(coarse.resize((TILE, TILE), Image.Resampling.BICUBIC), dtype=float)
    return (0.6 * np.linspace(255, 0, TILE)[:, None] + 0.4 * folds).clip(0, 255).astype(np.uint8)


def prepare_pairs(folder: Path, pairs: Path) -> MappedTiles:
    """Return tiles of pairs, six channels (degraded, clean), never rescaled.

    `pairs` holds the folders `degraded` and `clean` with pictures of the same names and sizes; others are left out with
    a warning. InputError where no pair is left.
    """
    paths, alone = match_names(pairs), find_alone(pairs)
    path = folder / f"pairs-{fingerprint(list(chain.from_iterable(paths)))}.npy"
    mapped = prepare(path, pair_tiles, list(enumerate(paths)), ThreadPoolExecutor)
    return MappedTiles(mapped.path, (*alone, *mapped.left_out))


def find_alone(pairs: Path) -> list[LeftOut]:
    """Return the pictures of `degraded` and `clean` without one of the same name in the other; a warning names each."""
    sides = {name: list_pictures([pairs / name]) for name in ("degraded", "clean")}
    alone: list[LeftOut] = []
    for (_, paths), (other, counterparts) in zip(sides.items(), reversed(sides.items()), strict=True):
        stems = {path.stem for path in counterparts}
        reason = f"it has no counterpart in {pairs / other}; both folders need the same names"
        alone += [LeftOut(ALONE, f"{path} is left out: {reason}") for path in paths if path.stem not in stems]
    for one in alone:
        warn_once(one.line)
    return alone


def match_names(pairs: Path) -> list[tuple[Path, Path]]:
    """Return the pictures of `degraded` and `clean` in pairs of the same name; InputError where there is none."""
    references = {path.stem: path for path in list_pictures([pairs / "clean"])}
    found = list_pictures([pairs / "degraded"])
    matched = [(path, references[path.stem]) for path in found if path.stem in references]
    if not matched:
        raise InputError(
            f"no picture of {pairs / 'degraded'} has a counterpart in {pairs / 'clean'}; rename them alike"
        )
    return matched


def pair_tiles(item: tuple[int, tuple[Path, Path]]) -> list[np.ndarray] | LeftOut:
    """Return the tiles [512, 512, 6] of one pair at native scale; a smaller picture is extended by reflection.

    A pair that cannot be read, or whose sizes differ, is left out.
    """
    seed, paths = item
    try:
        degraded, clean = map(read_uint8, paths)
    except AutoDIRError as error:
        return LeftOut(UNREADABLE, str(error))
    if degraded.shape != clean.shape:
        sizes = f"{degraded.shape[:2]} and {clean.shape[:2]}"
        return LeftOut(TWO_SIZES, f"{paths[0]} and {paths[1]} have two sizes, {sizes}")
    pair = np.concatenate([degraded, clean], axis=-1)
    rng = np.random.default_rng(seed)
    count = 1 if max(pair.shape[:2]) <= TILE else TILES_PER_PICTURE[max(pair.shape[:2]) > LARGE]
    for axis in (0, 1):
        if pair.shape[axis] < TILE:
            pair = pair.take(reflect_indices(pair.shape[axis], TILE).numpy(), axis=axis)
    corners = [[int(rng.integers(0, side - TILE + 1)) for side in pair.shape[:2]] for _ in range(count)]
    return [pair[top : top + TILE, left : left + TILE] for top, left in corners]


def read_uint8(path: Path) -> np.ndarray:
    """Read a picture file as uint8 [H, W, 3]."""
    return to_uint8(read_picture(path).image[0]).numpy()


def fingerprint(paths: Sequence[Path]) -> str:
    """Return a name for these files as they are now, which changes when one of them does."""
    stamps = [f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths]
    return hashlib.blake2b("\n".join(stamps).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
