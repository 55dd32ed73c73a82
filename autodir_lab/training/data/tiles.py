"""Tiles of training pictures in memory-mapped files, and the pictures that gave none."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from tqdm import tqdm

from autodir_core.errors import InputError
from autodir_core.serialization.atomic import atomic_path, write_text

logger = logging.getLogger(__name__)

TILE = 512
"""Side of a tile in pixels."""

WORKERS = 2
"""Processes that draw scenes, threads that read pictures."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class LeftOut:
    """A picture that a training does without.

    Attributes:
        reason: in a word or two, what pictures are counted by.
        line: which picture, and what is wrong with it.
    """

    reason: str
    line: str


class MappedTiles:
    """Tiles uint8 [N, 512, 512, C] in a memory-mapped .npy file; pickled as its path, so that processes share memory.

    Attributes:
        path: of the file.
        array: the whole of it.
        left_out: the pictures that gave no tiles.
    """

    def __init__(self, path: Path, left_out: tuple[LeftOut, ...] = ()) -> None:
        self.path, self.array, self.left_out = path, np.load(path, mmap_mode="r"), left_out

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.array[index]

    def __reduce__(self) -> tuple[type[MappedTiles], tuple[Path, tuple[LeftOut, ...]]]:
        return MappedTiles, (self.path, self.left_out)


Tiles = np.ndarray | MappedTiles


def count_left_out(left_out: Sequence[LeftOut]) -> str:
    """Return how many pictures were left out and why, such as "3 left out (2 unreadable, 1 flat)"."""
    counts = ", ".join(f"{count} {reason}" for reason, count in Counter(one.reason for one in left_out).most_common())
    return f"{len(left_out)} left out ({counts})"


def prepare(
    path: Path,
    make: Callable[[Item], list[np.ndarray] | LeftOut],
    items: Sequence[Item],
    executor: Callable[[int], Executor],
) -> MappedTiles:
    """Return the tiles of all items from the file at `path`, which is written when missing.

    What gives no tiles is warned of, at every run: a list of it is kept next to the file.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with executor(WORKERS) as pool, atomic_path(path) as temporary:
            tiles = TileCollector(pool.map(make, items, chunksize=8))
            write_tiles(temporary, chain.from_iterable(tqdm(tiles, total=len(items), desc=path.stem)))
            write_left_out(path, tiles.left_out)  # before the tiles, which say that all is there
    mapped = MappedTiles(path, read_left_out(path))
    for one in mapped.left_out:
        logger.warning("left out: %s", one.line)
    if not len(mapped):
        raise InputError(f"no usable picture was found for {path.stem}; give larger or more varied ones")
    return mapped


class TileCollector:
    """Passes on the tiles of items, and collects those that give none."""

    def __init__(self, results: Iterable[list[np.ndarray] | LeftOut]) -> None:
        self.results, self.left_out = results, list[LeftOut]()

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        for result in self.results:
            if isinstance(result, LeftOut):
                self.left_out.append(result)
            yield [] if isinstance(result, LeftOut) else result


def left_out_path(path: Path) -> Path:
    """Return the file that names what gave no tiles for the file at `path`."""
    return path.with_name(f"{path.stem}-left-out.json")


def write_left_out(path: Path, left_out: Sequence[LeftOut]) -> None:
    """Write the list next to the tiles; no file where all pictures gave some."""
    left_out_path(path).unlink(missing_ok=True)
    if left_out:
        write_text(left_out_path(path), json.dumps([asdict(one) for one in left_out], indent=1))


def read_left_out(path: Path) -> tuple[LeftOut, ...]:
    """Return what `write_left_out` wrote, nothing where it wrote no file."""
    place = left_out_path(path)
    if not place.exists():
        return ()
    return tuple(LeftOut(**one) for one in json.loads(place.read_text(encoding="utf-8")))


def write_tiles(path: Path, tiles: Iterable[np.ndarray]) -> None:
    """Write tiles one by one as a .npy array, whose length is known at the end alone."""
    count, shape = 0, (TILE, TILE, 4)
    with path.open("wb") as file:
        write_header(file, (0, *shape))
        for tile in tiles:
            count, shape = count + 1, tile.shape
            file.write(np.ascontiguousarray(tile, dtype=np.uint8).tobytes())
        file.seek(0)
        write_header(file, (count, *shape))


def write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Write a .npy header; numpy leaves room for its first axis to grow, so that it can be overwritten."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
