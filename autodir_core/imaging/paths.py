"""Paths of picture files: formats by suffix, listings. Imports nothing heavy."""

from __future__ import annotations

import codecs
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePath
from stat import S_ISDIR, S_ISREG

from ..errors import InputError
from ..serialization.atomic import one_line

logger = logging.getLogger(__name__)

READABLE = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".dib"}
    | {".gif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"}
)
"""The suffixes `list_pictures` looks for in a folder."""

HEIF_SUFFIXES, HEIF_PACKAGE = frozenset({".heic", ".heif", ".hif"}), "pillow-heif"
"""The suffixes that it looks for too where this package is installed."""

RAW_SUFFIXES = frozenset({".nef", ".cr2", ".cr3", ".arw", ".dng", ".raf", ".orf", ".rw2"})
"""Of what cameras write before development."""

FILM_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".ts"})
FILM_ADVICE = "the command batch restores and assesses films"

FOLDER_FILES = frozenset({"thumbs.db", "desktop.ini"})
"""Files of the operating system that nobody misses."""

MAX_NAMED = 5
MAX_NAME_BYTES = 255
"""What file systems take for the name of a file, in bytes."""

FORMATS = {
    **{".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".jpe": "JPEG", ".webp": "WEBP"},
    **{".tif": "TIFF", ".tiff": "TIFF"},
}
"""The suffixes `write_picture` knows and Pillow's names of their formats."""

PathLike = str | os.PathLike[str]


def list_pictures(
    paths: PathLike | Iterable[PathLike], *, recursive: bool = False, others: frozenset[str] = frozenset()
) -> list[Path]:
    """Return the picture files among `paths` and in its folders, each once, in natural order (2 before 10).

    A file is taken whatever its suffix; of a folder the `READABLE` ones that are not hidden, with `recursive` those of
    its sub-folders too, hidden and linked ones left out, and files of `others`, suffixes in lower case. Warnings name
    what else a folder holds, and what cannot be read. Raises InputError for a path that does not exist and where
    nothing is found.
    """
    given = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    for path in given:
        check_there(path)
    found = {file for path in given for file in ([path] if path.is_file() else _pictures_in(path, recursive, others))}
    if not found:
        places = ", ".join(map(str, given)) or "an empty list"
        kinds = f"pictures{' or films' * bool(others)}"
        raise InputError(f"no {kinds} in {places}; looked for {', '.join(sorted(taken_suffixes(others)))}")
    return sorted(found, key=_natural_key)


def read_list(path: Path) -> Iterator[str]:
    """Yield the lines of a list: UTF-8, or UTF-16 with a byte-order mark; InputError for what is no text."""
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16", "replace") if wide else content.decode("utf-8-sig", "surrogateescape")
    if "\0" in text:
        raise InputError(f"{path} holds zero bytes, so it is no list of paths; give a text file with a path a line")
    yield from filter(None, map(str.strip, re.split("[\r\n]", text)))


def check_there(path: Path) -> None:
    """InputError for what is neither a file nor a folder, or cannot be looked at."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; give picture files or folders") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}; give picture files or folders") from error
    if not S_ISREG(kind) and not S_ISDIR(kind):
        raise InputError(f"{path} is neither a file nor a folder; give picture files or folders")


def has_heif() -> bool:
    """Return whether HEIC files can be read."""
    return find_spec(HEIF_PACKAGE.replace("-", "_")) is not None


def fit_name(stem: str, ending: str, room: int = MAX_NAME_BYTES) -> str:
    """Return `stem + ending`, the stem cut off and told apart by a hash where the name would have more bytes."""
    name = stem + ending
    if len(os.fsencode(name)) <= room:
        return name
    mark = f"-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}{ending}"
    kept = os.fsencode(stem)[: room - len(os.fsencode(mark))]
    return kept.decode("utf-8", "ignore") + mark


def taken_suffixes(more: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the suffixes of a folder's files that are taken, beside `more`."""
    return READABLE | more | (HEIF_SUFFIXES if has_heif() else frozenset())


def _pictures_in(folder: Path, recursive: bool, more: frozenset[str]) -> Iterator[Path]:
    suffixes = taken_suffixes(more)
    others: list[Path] = []
    for path in _list(folder, recursive):
        if path.name.startswith(".") or path.name.lower() in FOLDER_FILES:
            continue
        if path.suffix.lower() in suffixes and os.path.isfile(path):
            yield path
        else:
            others.append(path)
    if others:
        taken = f"of a folder the pictures{' and films' * bool(more)} are taken"
        advice = sorted({advise(path) for path in others} - {""})
        warn_once(f"{folder}: passed over {_name_some(others)}; {'; '.join([taken, *advice])}")


def _list(folder: Path, recursive: bool) -> Iterator[Path]:
    """Yield what a folder holds, or the files in it and its sub-folders; a warning names each that is left out."""

    def tell(error: OSError) -> None:
        warn_once(f"{error.filename} cannot be read, so its pictures are left out: {one_line(error)}")

    for place, folders, files in os.walk(folder, onerror=tell):
        if not recursive:
            yield from (folder / name for name in [*folders, *files])
            return
        folders[:] = [name for name in folders if not name.startswith(".")]
        for linked in filter(os.path.islink, (os.path.join(place, name) for name in folders)):
            warn_once(f"{linked} is a link to a folder, and links are not followed; give it too to take its pictures")
        yield from (Path(place, name) for name in files)


def advise(path: PurePath) -> str:
    """Return what to do with a file of a suffix that is no picture's here; nothing for any other file."""
    suffix = path.suffix.lower()
    if suffix in HEIF_SUFFIXES and not has_heif():
        return f"HEIC needs the package {HEIF_PACKAGE}"
    if suffix in RAW_SUFFIXES:
        return "develop camera raw files to TIFF or JPEG first"
    return FILM_ADVICE if suffix in FILM_SUFFIXES else ""


def _name_some(paths: Sequence[Path]) -> str:
    """Name a few of many, folders with a slash."""
    names = [path.name + "/" * path.is_dir() for path in sorted(paths, key=_natural_key)]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


@cache
def warn_once(message: str) -> None:
    """Warn, but not again: folders are listed, and pairs matched, more than once."""
    logger.warning("%s", message)


def _natural_key(path: Path) -> tuple[list[list[str | int]], str]:
    """Compare the digits of a name as numbers; the plain path last, so that equal keys have one order."""
    return [[int(t) if t.isdigit() else t for t in re.split(r"([0-9]+)", p.casefold())] for p in path.parts], str(path)
