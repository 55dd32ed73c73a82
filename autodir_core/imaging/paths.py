"""Paths of picture files: formats by suffix, listings, atomic replacement. Imports nothing heavy."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

READABLE = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".mpo", ".ppm", ".pgm"})
"""The suffixes `list_pictures` looks for in a folder."""

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
"""The suffixes `write_picture` knows and Pillow's names of their formats."""

PathLike = str | os.PathLike[str]


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path in the same folder, moved to `path` when the block ends well and removed when it does not.

    It keeps the suffix of `path`, exists already as an empty file, and missing folders are made. Raises InputError
    where the place cannot be written.
    """
    path = Path(path)
    temporary = path.parent / f".{secrets.token_hex(8)}{path.suffix}"
    _reserve(temporary, path)
    try:
        yield temporary
        _move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def list_pictures(paths: PathLike | Iterable[PathLike], *, recursive: bool = False) -> list[Path]:
    """Return the picture files among `paths` and in its folders, each once, in natural order (2 before 10).

    A file is taken whatever its suffix; of a folder the `READABLE` ones that are not hidden, with `recursive` those of
    its sub-folders too. Raises InputError for a path that does not exist and where nothing is found.
    """
    given = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    missing = [path for path in given if not path.exists()]
    if missing:
        raise InputError(f"{missing[0]} does not exist; give picture files or folders")
    found = {file for path in given for file in ([path] if path.is_file() else _pictures_in(path, recursive))}
    if not found:
        places = ", ".join(map(str, given)) or "an empty list"
        raise InputError(f"no pictures in {places}; looked for {', '.join(sorted(READABLE))}")
    return sorted(found, key=_natural_key)


def _reserve(temporary: Path, path: Path) -> None:
    """Create the temporary file now, so that a place that cannot be written is known before the work."""
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; give a file name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise InputError(f"cannot write into {path.parent}: {one_line(error)}; choose another folder") from error


def _move(temporary: Path, path: Path) -> None:
    try:
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot replace {path}: {one_line(error)}; is it open in another program?") from error


def _pictures_in(folder: Path, recursive: bool) -> Iterator[Path]:
    for path in folder.rglob("*") if recursive else folder.iterdir():
        if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file():
            yield path


def _natural_key(path: Path) -> tuple[list[list[str | int]], str]:
    """Compares the digits of a name as numbers; the plain path last, so that equal keys have one order."""
    return [[int(t) if t.isdigit() else t for t in re.split(r"([0-9]+)", p.casefold())] for p in path.parts], str(path)


def one_line(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
