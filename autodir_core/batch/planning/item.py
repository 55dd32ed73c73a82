"""One picture of a batch: its source, what tells whether that has changed, and the names of what is written of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ...errors import InputError
from ...imaging.paths import FILM_SUFFIXES, check_there
from ...serialization.hashing import sha256
from .storage import URL, Location, short_hash

NO_STAMP = 0, 0
"""Of what is not there."""


@dataclass(frozen=True)
class Item:
    """One picture of a batch.

    Attributes:
        source: the file, or its URL.
        name: where its result goes below the output folder, with sub-folders; the key in the journal.
        stamp: of a URL: the size, and a number that changes with the content.
        copy: where a copy goes, its own suffix kept, of one that needs nothing; "" where all results have one format.
        mask: a local file, where there are masks.
    """

    source: Location
    name: str
    stamp: tuple[int, int] | None = None
    copy: str = ""
    mask: Path | None = None

    @property
    def source_path(self) -> Path:
        """The source as a path, for the parts of its name; of a URL no file has it."""
        return Path(self.source)

    @property
    def files(self) -> set[str]:
        """The names of what may be written of it."""
        return {self.name, self.copy} - {""}


def stamp_of(item: Item) -> tuple[int, int]:
    """Return what tells whether a source has changed: its size and its time, or what its store lists.

    The second number has that of its mask in it, which changes the result too.
    """
    try:
        size, mark = item.stamp or file_stamp(item.source_path)
        if item.mask:
            mark = short_hash(f"{mark} {file_stamp(item.mask)}")
        return size, mark
    except OSError:  # why it cannot be read is told when it is its turn
        return NO_STAMP


def file_stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def check_source(source: Path) -> None:
    """InputError for what cannot be read as one file."""
    check_there(source)
    if source.is_dir():
        raise InputError(f"{source} is a folder without pictures; leave it out")


def is_other(item: Item, source: str, digest: str | None, stamp: Sequence[int]) -> bool:
    """Return whether a picture is another than the one of a source: in another place, with another content."""
    if absolute(item.source) == source or (isinstance(item.source, Path) and same_file(item.source, source)):
        return False
    if digest and isinstance(item.source, Path) and item.source.is_file():
        return sha256(item.source) != digest
    if not digest and not URL.match(source):
        return os.path.exists(source)  # and is yet to be done; where it was moved, its name is free
    return tuple(stamp) not in (NO_STAMP, stamp_of(item))


def same_file(path: Path, source: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(source)


def is_film(path: PurePath) -> bool:
    return path.suffix.lower() in FILM_SUFFIXES


def absolute(source: Location) -> str:
    """Return one spelling of a place."""
    return os.path.abspath(source) if isinstance(source, Path) else source
