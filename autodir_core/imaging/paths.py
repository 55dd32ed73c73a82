"""Paths of picture files: formats by suffix, listings. Imports nothing heavy."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import InputError

READABLE = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".mpo", ".ppm", ".pgm"})
"""The suffixes `list_pictures` looks for in a folder."""

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
"""The suffixes `write_picture` knows and Pillow's names of their formats."""

PathLike = str | os.PathLike[str]


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


def _pictures_in(folder: Path, recursive: bool) -> Iterator[Path]:
    for path in folder.rglob("*") if recursive else folder.iterdir():
        if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file():
            yield path


def _natural_key(path: Path) -> tuple[list[list[str | int]], str]:
    """Compare the digits of a name as numbers; the plain path last, so that equal keys have one order."""
    return [[int(t) if t.isdigit() else t for t in re.split(r"([0-9]+)", p.casefold())] for p in path.parts], str(path)
