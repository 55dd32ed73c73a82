"""Pictures for training: scenes, photos and pairs, cut once into squares of 512 pixels in one memory-mapped file."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from autodir_core.errors import InputError
from autodir_core.imaging.files import read_picture
from autodir_core.imaging.layout import reflect_indices, to_uint8
from autodir_core.imaging.paths import atomic_path, list_pictures

from .scenes import draw_scene

logger = logging.getLogger(__name__)

TILE = 512
"""Side of the squares in pixels."""

LARGE = 900
"""Pictures with a longer side give `TILES[1]` squares, others `TILES[0]`."""

TILES = 4, 10
FLAT = 12.0
"""Squares of a photo whose colours vary less (standard deviation, bytes) are left out: sky and walls teach nothing."""

SMALLEST = TILE // 2
"""Photos with a shorter side would have to be enlarged too much to count as clean."""

Item = TypeVar("Item")


def cached_scenes(folder: Path, count: int, *, seed: int = 0, workers: int = 2) -> np.ndarray:
    """`count` scenes, uint8 [count, 512, 512, 4], memory-mapped from a file in `folder` that is drawn when missing."""
    with ProcessPoolExecutor(workers) as pool:
        return cached(folder / f"scenes-{seed}-{count}.npy", one_scene, range(seed, seed + count), pool)


def one_scene(seed: int) -> list[np.ndarray]:
    """One scene as uint8 [512, 512, 4]: colour and depth."""
    scene = draw_scene(seed, TILE)
    return [np.concatenate([scene.image, scene.depth[..., None]], axis=-1)]


def cached_photos(folder: Path, photos: Path, *, workers: int = 2) -> np.ndarray:
    """Squares of clean photographs, uint8 [N, 512, 512, 4], at scales from native to the whole picture.

    The fourth channel stands in for the depth: far above, with smooth folds. InputError for a folder without pictures
    that are large and varied enough.
    """
    paths = list_pictures([photos], recursive=True)
    path = folder / f"photos-{digest(paths)}.npy"
    with ThreadPoolExecutor(workers) as pool:  # torch, which reads the files, must not be forked
        return cached(path, photo_tiles, list(enumerate(paths)), pool)


def photo_tiles(item: tuple[int, Path]) -> list[np.ndarray]:
    """Squares [512, 512, 4] of one photo; none of one that is too small or all flat."""
    number, path = item
    picture = as_bytes(path)
    if min(picture.shape[:2]) < SMALLEST:
        logger.warning("%s is left out: a side is shorter than %d pixels", path, SMALLEST)
        return []
    rng = np.random.default_rng(number)
    tiles = [scaled_window(picture, rng) for _ in range(TILES[max(picture.shape[:2]) > LARGE])]
    varied = [tile for tile in tiles if tile.std(axis=(0, 1)).mean() >= FLAT]
    return [np.concatenate([tile, stand_in_depth(rng)[..., None]], axis=-1) for tile in varied]


def scaled_window(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random square of [H, W, 3], from 512 pixels to the whole shorter side, brought to 512."""
    height, width = picture.shape[:2]
    side = min(height, width)
    window = min(int(TILE * 2 ** rng.uniform(0, np.log2(max(side / TILE, 1)))), side)
    left, top = int(rng.integers(0, width - window + 1)), int(rng.integers(0, height - window + 1))
    square = picture[top : top + window, left : left + window]
    if window == TILE:
        return square
    return np.asarray(Image.fromarray(square).resize((TILE, TILE), Image.Resampling.LANCZOS))


def stand_in_depth(rng: np.random.Generator) -> np.ndarray:
    """A plausible depth uint8 [512, 512], 255 is far."""
    coarse = Image.fromarray((rng.uniform(0, 1, (5, 5)) * 255).astype(np.uint8))
    folds = np.asarray(coarse.resize((TILE, TILE), Image.Resampling.BICUBIC), dtype=float)
    return (0.6 * np.linspace(255, 0, TILE)[:, None] + 0.4 * folds).clip(0, 255).astype(np.uint8)


def cached_pairs(folder: Path, pairs: Path, *, workers: int = 2) -> np.ndarray:
    """Squares of pairs, uint8 [N, 512, 512, 6]: degraded, then clean, never rescaled.

    `pairs` holds the folders `degraded` and `clean` with pictures of the same names and sizes; InputError otherwise.
    """
    paths = matched(pairs / "degraded", pairs / "clean")
    path = folder / f"pairs-{digest([one for two in paths for one in two])}.npy"
    with ThreadPoolExecutor(workers) as pool:
        return cached(path, pair_tiles, list(enumerate(paths)), pool)


def matched(degraded: Path, clean: Path) -> list[tuple[Path, Path]]:
    """Pictures of the same name in two folders."""
    truths = {path.stem: path for path in list_pictures([clean])}
    found = list_pictures([degraded])
    alone = [path for path in found if path.stem not in truths]
    if alone:
        raise InputError(f"{alone[0]} has no counterpart in {clean}; both folders need the same names")
    return [(path, truths[path.stem]) for path in found]


def pair_tiles(item: tuple[int, tuple[Path, Path]]) -> list[np.ndarray]:
    """Squares [512, 512, 6] of one pair at native scale; what a smaller picture lacks is reflected."""
    number, paths = item
    degraded, clean = map(as_bytes, paths)
    if degraded.shape != clean.shape:
        raise InputError(f"{paths[0]} and {paths[1]} must have one size, got {degraded.shape[:2]}, {clean.shape[:2]}")
    both = np.concatenate([degraded, clean], axis=-1)
    rng = np.random.default_rng(number)
    count = 1 if max(both.shape[:2]) <= TILE else TILES[max(both.shape[:2]) > LARGE]
    for axis in (0, 1):
        if both.shape[axis] < TILE:
            both = both.take(reflect_indices(both.shape[axis], TILE).numpy(), axis=axis)
    places = [[int(rng.integers(0, side - TILE + 1)) for side in both.shape[:2]] for _ in range(count)]
    return [both[top : top + TILE, left : left + TILE] for top, left in places]


def as_bytes(path: Path) -> np.ndarray:
    """A picture file as uint8 [H, W, 3]."""
    return to_uint8(read_picture(path).image[0]).numpy()


def digest(paths: Sequence[Path]) -> str:
    """A name for these files as they are now: other files, or changed ones, are cut anew."""
    stamps = [f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths]
    return hashlib.blake2b("\n".join(stamps).encode(), digest_size=6).hexdigest()


def cached(path: Path, work: Callable[[Item], list[np.ndarray]], items: Sequence[Item], pool: Executor) -> np.ndarray:
    """The squares that `work` makes of the items, memory-mapped from `path`, which is written when missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            made = pool.map(work, items, chunksize=8)
            write_rows(temporary, flattened(tqdm(made, total=len(items), desc=path.stem)))
    rows = np.load(path, mmap_mode="r")
    if not len(rows):
        raise InputError(f"no usable picture was found for {path.stem}; give larger or more varied ones")
    return rows


def flattened(lists: Iterable[list[np.ndarray]]) -> Iterator[np.ndarray]:
    return (row for rows in lists for row in rows)


def write_rows(path: Path, rows: Iterable[np.ndarray]) -> None:
    """Write squares as they come, as one .npy array whose length is known at the end alone."""
    count, shape = 0, (TILE, TILE, 4)
    with path.open("wb") as file:
        write_header(file, (0, *shape))
        for row in rows:
            count, shape = count + 1, row.shape
            file.write(np.ascontiguousarray(row, dtype=np.uint8).tobytes())
        file.seek(0)
        write_header(file, (count, *shape))


def write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """numpy leaves room in a header for its first axis to grow, so that it can be written over."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
