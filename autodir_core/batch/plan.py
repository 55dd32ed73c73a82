"""What a batch works on: the pictures of folders, wildcards and lists, and where their results go."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..errors import InputError
from ..imaging.paths import FORMATS, fit_name, list_pictures
from .storage import Location, list_urls, location

FILM_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".ts"})
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Suffixes of restored films, and what FFmpeg calls their format; films of other formats become Matroska."""

LIST_SUFFIX = ".txt"
"""Of a file with one path per line, relative to its own folder."""


@dataclass(frozen=True)
class Item:
    """One picture of a batch.

    Attributes:
        source: the file, or its URL.
        name: where its result goes below the output folder, with sub-folders; the key in the journal.
        stamp: of a URL: the size, and a number that changes with the content.
    """

    source: Location
    name: str
    stamp: tuple[int, int] | None = None

    @property
    def source_path(self) -> Path:
        """The source as a path, for the parts of its name; of a URL no file has it."""
        return Path(self.source)


def is_film(path: PurePath) -> bool:
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


def plan_items(given: Sequence[str], output: Location, suffix: str | None = None) -> list[Item]:
    """Return the pictures of paths, URLs, folders with their sub-folders, wildcards and lists, in natural order.

    Args:
        given: as on the command line.
        output: the folder of the results; pictures below it are passed over, they are results.
        suffix: of all pictures' results, such as ".png"; None keeps each picture's own, where it can be written.

    Raises InputError for what does not exist, and where two pictures would write one file.
    """
    items = [
        Item(source, result_name(relative, suffix), stamp)
        for source, relative, stamp in find_sources(given)
        if not is_below(source, output)
    ]
    if not items:
        raise InputError(f"no pictures in {', '.join(given)}; give pictures, folders, wildcards or lists (.txt)")
    refuse_shared_names(items)
    return list({item.name: item for item in items}.values())


def is_below(source: Location, folder: Location) -> bool:
    """Return whether a file lies in a folder or its sub-folders, by path or by URL."""
    if isinstance(source, Path) and isinstance(folder, Path):
        return folder.resolve() in source.resolve().parents
    return isinstance(source, str) and isinstance(folder, str) and source.startswith(folder.rstrip("/") + "/")


def refuse_shared_names(items: Sequence[Item]) -> None:
    """InputError where two pictures would write one file."""
    taken: dict[str, Location] = {}
    for item in items:
        other = taken.setdefault(item.name.casefold(), item.source)
        if other != item.source:
            raise InputError(f"{other} and {item.source} would both write {item.name}; give their folder, or two runs")


Found = tuple[Location, PurePath, tuple[int, int] | None]
"""A picture, its path relative to the folder that it was found in, and the stamp of a URL."""


def find_sources(given: Sequence[str]) -> Iterator[Found]:
    """Yield each picture of what was given."""
    for text in given:
        path = location(text)
        if isinstance(path, str):
            yield from list_urls(path, FILM_SUFFIXES)
        elif path.suffix.lower() == LIST_SUFFIX and path.is_file():
            yield from find_listed(path)
        else:
            yield from ((found, relative, None) for found, relative in find_files(path))


def find_files(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the pictures of a folder with its sub-folders, of a wildcard, or the one file, as in `Found`."""
    if path.is_dir():
        listed = list_pictures(path, recursive=True, others=FILM_SUFFIXES)
        yield from ((found, found.relative_to(path)) for found in listed)
    else:
        names = [str(path)] if path.exists() else sorted(glob.glob(str(path), recursive=True)) or [str(path)]
        yield from ((found, Path(found.name)) for found in list_pictures(names))


def find_listed(path: Path) -> Iterator[Found]:
    """Yield the files that a list names, a relative path with its folders, an absolute one or a URL by its name."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()]
    for line in filter(None, lines):
        listed = location(line)
        if isinstance(listed, str):
            yield from list_urls(listed, FILM_SUFFIXES)
        else:
            [found] = list_pictures(path.parent / listed)
            yield found, Path(listed.name) if listed.is_absolute() or ".." in listed.parts else listed, None


def result_name(relative: PurePath, suffix: str | None) -> str:
    """Return the name of a result: that of its source, in its sub-folder; what cannot be written becomes PNG or MKV."""
    if is_film(relative):
        ending = relative.suffix if relative.suffix.lower() in CONTAINERS else ".mkv"
    else:
        ending = suffix or (relative.suffix if relative.suffix.lower() in FORMATS else ".png")
    return (relative.parent / fit_name(relative.stem, ending)).as_posix()
