"""What is found where a user points: the pictures of folders, wildcards, lists and URLs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path, PurePath, PurePosixPath

from ...errors import AutoDIRError, InputError
from ...imaging.paths import FILM_SUFFIXES, list_pictures, read_list, warn_once
from .storage import Location, list_urls, location

TABLE, TABLE_START = "batch.csv", b"name,source,result,state,"
"""Name of a batch's table in its output folder, and what that begins with."""

LIST_SUFFIX = ".txt"
"""Of a file with one path per line, relative to its own folder."""

Found = tuple[Location, PurePath, tuple[int, int] | None]
"""A picture, its path relative to the folder that it was found in, and the stamp of a URL."""


def find_sources(given: Sequence[str], output: Location) -> Iterator[Found]:
    """Yield each picture of what was given; of folders nothing that is a result, for which a warning is given.

    Results in `output` are yielded: whoever gave that knows of them.
    """
    for text in given:
        if not text:
            raise InputError(
                "an INPUT is empty; give pictures, folders, wildcards or lists (.txt), or . for this folder"
            )
        path = location(text)
        if isinstance(path, str):
            yield from list_urls(path, FILM_SUFFIXES)
        elif path.suffix.lower() == LIST_SUFFIX and os.path.isfile(path):
            yield from find_listed(path, output)
        else:
            yield from ((found, relative, None) for found, relative in find_files(path, output))


def find_files(path: Path, output: Location) -> Iterator[tuple[Path, Path]]:
    """Yield the pictures of a folder with its sub-folders, of a wildcard, or the one file, as in `Found`.

    A folder that a wildcard matches is taken as if it were given, the outermost one where several hold a picture. What
    is there and no file, such as a link to nowhere, is yielded too: it is a failure of its own.
    """
    names = [str(path)] if os.path.lexists(path) else sorted(glob.glob(str(path), recursive=True)) or [str(path)]
    odd = [name for name in names if os.path.lexists(name) and not os.path.isfile(name) and not os.path.isdir(name)]
    yield from ((found, Path(found.name)) for found in map(Path, odd))
    usable = [Path(name) for name in names if name not in odd]
    folders = {one for one in usable if os.path.isdir(one)}
    outermost = [one for one in usable if folders.isdisjoint(one.parents)]
    for found in list_pictures(outermost, recursive=True, others=FILM_SUFFIXES) if outermost else ():
        start = next((folder for folder in reversed(found.parents) if folder in folders), found.parent)
        relative = found.relative_to(start)
        results = next(filter(is_output, found.parents[: len(relative.parts) - 1]), None)
        if results is None or same_place(results, output):
            yield found, relative
        else:
            warn_once(f"{results} holds the results of a batch and is left out; give it as an INPUT to take it")


@cache
def is_output(folder: Path) -> bool:
    """Return whether a folder has the table of a batch."""
    try:
        with (folder / TABLE).open("rb") as file:
            return file.read(len(TABLE_START)) == TABLE_START
    except OSError:
        return False


def same_place(folder: Path, other: Location) -> bool:
    return isinstance(other, Path) and os.path.realpath(folder) == os.path.realpath(other)


def find_listed(path: Path, output: Location) -> Iterator[Found]:
    """Yield what a list names, a relative path with its folders, an absolute one or a URL by its name.

    What is missing, or holds nothing, is yielded too: it is a failure of its own, not the end of the list.
    """
    for listed in map(location, read_list(path)):
        try:
            yield from list(find_line(listed, path.parent, output))
        except AutoDIRError:
            yield unread(listed, path.parent)


def find_line(listed: Location, start: Path, output: Location) -> Iterator[Found]:
    """Yield the pictures of a line of a list, which lies in the folder `start`."""
    if isinstance(listed, str):
        yield from list_urls(listed, FILM_SUFFIXES)
    else:
        folder = folder_of(listed, start)
        yield from ((found, folder / relative, None) for found, relative in find_files(start / listed, output))


def unread(listed: Location, start: Path) -> Found:
    """Return a line of a list that has no pictures as one: why it cannot be read is told when it is its turn."""
    if isinstance(listed, str):
        return listed, PurePath(PurePosixPath(listed).name), None
    folder = folder_of(listed, start)
    return start / listed, folder if folder == listed else folder / listed.name, None


def folder_of(listed: Path, start: Path) -> Path:
    """Return the folder in OUT of the pictures of a path in a list, which lies in the folder `start`."""
    is_pattern = glob.has_magic(str(listed.parent)) and not os.path.exists(start / listed)
    if listed.is_absolute() or ".." in listed.parts or is_pattern:
        return Path()
    return listed if os.path.isdir(start / listed) else listed.parent
