"""What a batch works on: the pictures of folders, wildcards and lists, and where their results go."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..imaging.paths import FORMATS, fit_name, list_pictures

FILM_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".ts"})
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Suffixes of restored films, and what FFmpeg calls their format; films of other formats become Matroska."""

LIST_SUFFIX = ".txt"
"""Of a file with one path per line, relative to its own folder."""


@dataclass(frozen=True)
class Item:
    """One picture of a batch.

    Attributes:
        source: the file.
        name: where its result goes below the output folder, with sub-folders; the key in the journal.
    """

    source: Path
    name: str


def is_film(path: Path) -> bool:
    return path.suffix.lower() in FILM_SUFFIXES


@dataclass(frozen=True)
class Selection:
    """Which pictures of a batch are taken: every n-th, of these shard i of n, of these the first so many."""

    every: int = 1
    shard: tuple[int, int] = (1, 1)
    limit: int | None = None

    def __post_init__(self) -> None:
        index, count = self.shard
        if not 1 <= index <= count:
            raise InputError(f"a shard is written i/n with i in 1..n, got {index}/{count}")

    def choose(self, items: Sequence[Item]) -> list[Item]:
        index, count = self.shard
        return list(items[:: self.every])[index - 1 :: count][: self.limit]


def plan_items(given: Sequence[str], output: Path, suffix: str | None = None) -> list[Item]:
    """Return the pictures of paths, folders with their sub-folders, wildcards and lists, in natural order.

    Args:
        given: as on the command line.
        output: the folder of the results; pictures below it are passed over, they are results.
        suffix: of all pictures' results, such as ".png"; None keeps each picture's own, where it can be written.

    Raises InputError for what does not exist, and where two pictures would write one file.
    """
    results = output.resolve()
    items = [
        Item(source, result_name(relative, suffix))
        for source, relative in find_sources(given)
        if results not in source.resolve().parents
    ]
    if not items:
        raise InputError(f"no pictures in {', '.join(given)}; give pictures, folders, wildcards or lists (.txt)")
    refuse_shared_names(items)
    return list({item.name: item for item in items}.values())


def refuse_shared_names(items: Sequence[Item]) -> None:
    """InputError where two pictures would write one file."""
    taken: dict[str, Path] = {}
    for item in items:
        other = taken.setdefault(item.name.casefold(), item.source)
        if other != item.source:
            raise InputError(f"{other} and {item.source} would both write {item.name}; give their folder, or two runs")


def find_sources(given: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Yield each picture file, and its path relative to the folder that it was found in."""
    for text in given:
        path = Path(text)
        if path.is_dir():
            listed = list_pictures(path, recursive=True, others=FILM_SUFFIXES)
            yield from ((found, found.relative_to(path)) for found in listed)
        elif path.suffix.lower() == LIST_SUFFIX and path.is_file():
            yield from find_listed(path)
        else:
            names = [text] if path.exists() else sorted(glob.glob(text, recursive=True)) or [text]
            yield from ((found, Path(found.name)) for found in list_pictures(names))


def find_listed(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the files that a list names, a relative path with its folders, an absolute one by its name."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()]
    for line in filter(None, lines):
        listed = Path(line)
        [found] = list_pictures(path.parent / listed)
        yield found, Path(listed.name) if listed.is_absolute() or ".." in listed.parts else listed


def result_name(relative: Path, suffix: str | None) -> str:
    """Return the name of a result: that of its source, in its sub-folder; what cannot be written becomes PNG or MKV."""
    if is_film(relative):
        ending = relative.suffix if relative.suffix.lower() in CONTAINERS else ".mkv"
    else:
        ending = suffix or (relative.suffix if relative.suffix.lower() in FORMATS else ".png")
    return (relative.parent / fit_name(relative.stem, ending)).as_posix()
