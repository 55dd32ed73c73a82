"""Inputs and results that are URLs, such as s3://bucket/folder: listed, read and written whole through fsspec."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeGuard
from zipfile import BadZipFile

from ...errors import InputError, PackageError
from ...imaging.paths import advise, taken_suffixes, warn_once
from ...optional_imports import optional_import, pip_command
from ...serialization.atomic import one_line, write_text

Location = Path | str
"""A local path, or a URL."""

URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
"""What a URL begins with; a single letter is a drive of Windows."""

LOCAL = re.compile("(file|local)://")
"""What a URL of a local path begins with."""

ESCAPED = re.compile(rb"%([0-9a-fA-F]{2})")
"""A byte of a URL, as a browser writes what has a meaning in it, such as a space."""

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "memory"})
"""File systems where a file appears once it is whole; in others it is written under another name and moved."""

PART_ENDING = ".part"
CHANGE_MARKS = ("ETag", "LastModified", "updated", "last_modified", "mtime", "created")
"""What file systems call that which changes with a file's content; the first that one has is taken."""


def location(text: str) -> Location:
    """Return a path, that of a file:// or local:// URL too; any other URL as it is.

    Such a URL may have %20 for a space, as a browser writes it: it has where that leads further than what is written.
    """
    if not LOCAL.match(text):
        return text if URL.match(text) else Path(text)
    written = LOCAL.sub("", text, count=1)
    decoded = os.fsdecode(ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), os.fsencode(written)))
    for place, other in zip(with_parents(decoded), with_parents(written), strict=False):
        if place == other or os.path.lexists(place):
            break
        if os.path.lexists(other):
            return Path(written)
    return Path(decoded)


def with_parents(path: str) -> tuple[Path, ...]:
    return Path(path), *Path(path).parents


def is_url(place: Location) -> TypeGuard[str]:
    return isinstance(place, str)


def join(folder: Location, name: str) -> Location:
    """Return the place of a file below a folder; of chained URLs, zip://in::s3://bucket/a.zip, below the first."""
    if isinstance(folder, Path):
        return folder / name
    first, chain, rest = folder.partition("::") if URL.match(folder) else (folder, "", "")
    return f"{first}{'' if first.endswith('/') else '/'}{name}{chain}{rest}"


def inside(path: PurePath, *, windows: bool = os.name == "nt") -> PurePosixPath:
    """Return a path as one that leads out of no folder: keys of stores may have empty parts, .. and what Windows knows.

    Args:
        path: relative or absolute.
        windows: whether backslashes part names, colons have a meaning, and dots and spaces at the end of one have none.
    """
    text = path.as_posix()
    if windows:
        text = re.sub(r"[. ]+(?=/|$)", "", text.replace("\\", "/").replace(":", "_"))
    return PurePosixPath(*(part for part in text.split("/") if part not in ("", ".", "..")))


def open_store(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and the path on it; one line where no package serves it."""
    with optional_import("fsspec", "give local paths"):
        import fsspec
    try:
        return fsspec.url_to_fs(url)
    except ImportError as error:
        raise PackageError(f"{url} cannot be used: {one_line(error)} ({pip_command()} ...)") from error
    except store_errors() as error:
        raise InputError(f"{url} cannot be used: {one_line(error)}; give a path, or a URL such as s3://...") from error


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what file systems raise into one line that names the URL: InputError."""
    try:
        yield
    except store_errors() as error:
        text = str(error) if isinstance(error, FileNotFoundError) and not error.strerror else one_line(error)
        kind = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be used"
        raise InputError(f"{url} {kind} ({' '.join(text.split())}); check it and your access to it") from error


def store_errors() -> tuple[type[Exception], ...]:
    """Return the errors of file systems, those of URLs that are none, of archives that are none, and of S3's package.

    The last only where it is loaded.
    """
    botocore = sys.modules.get("botocore.exceptions")
    return (OSError, ValueError, BadZipFile, *([botocore.BotoCoreError] if botocore else ()))


def list_urls(url: str, others: frozenset[str]) -> Iterator[tuple[str, PurePosixPath, tuple[int, int]]]:
    """Yield each picture and each file of `others` (suffixes) of a folder with its sub-folders, a wildcard or a file.

    Each is its URL, its path relative to the folder, and its `stamp`. InputError where there is none.
    """
    files, path = open_store(url)
    with explained(url):
        found = find_in_store(files, path)
    taken = {name: one for name, one in found.items() if one.folder is None or is_wanted(one.relative, others)}
    if not taken:
        raise InputError(f"no pictures in {url}; give a folder, a file or a wildcard that has some")
    if len(taken) < len(found):
        advice = sorted({advise(PurePosixPath(name)) for name in found.keys() - taken.keys()} - {""})
        warn_once("; ".join([f"{url}: passed over {len(found) - len(taken)} files that are no pictures", *advice]))
    for name in sorted(taken):
        one = taken[name]
        below = str(join(url, one.relative)) if one.folder == path else files.unstrip_protocol(name)
        yield url if name == path else below, PurePosixPath(one.relative), stamp(one.info)


@dataclass(frozen=True)
class StoredFile:
    """A file of a store.

    Attributes:
        info: what the store lists of it.
        folder: the one that was given or matched by a wildcard; None where the file itself was.
        relative: its path below that folder, or its name.
    """

    info: Mapping[str, Any]
    folder: str | None
    relative: str


def find_in_store(files: Any, path: str) -> dict[str, StoredFile]:
    """Return the files of a folder with its sub-folders, the one file, or those of a wildcard, by their paths.

    A folder that a wildcard matches is taken as if it were given, the outermost one where several hold a file.
    """
    if "*" not in path and files.isdir(path):
        return find_below(files, path)
    is_file = has_magic(path) and files.isfile(path)
    matched = {path: files.info(path)} if is_file else files.glob(path, detail=True)
    folders = {name for name, info in matched.items() if info["type"] == "directory" and not is_hidden(name)}
    found: dict[str, StoredFile] = {}
    for name, info in matched.items():
        if not folders.isdisjoint(folders_above(name)):
            continue
        if name in folders:
            found |= find_below(files, name)
        elif info["type"] == "file":
            found[name] = StoredFile(info, None, name.rpartition("/")[2])
    return found


def is_hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")


def folders_above(name: str) -> Iterator[str]:
    """Yield the folders that a path of a store lies in."""
    return (name[: slash.start()] for slash in re.finditer("/", name))


def find_below(files: Any, folder: str) -> dict[str, StoredFile]:
    infos = {str(name): info for name, info in files.find(folder, detail=True).items() if info["type"] == "file"}
    start = folder.rstrip("/")
    return {name: StoredFile(info, folder, name.removeprefix(start).removeprefix("/")) for name, info in infos.items()}


def is_wanted(name: str, others: frozenset[str]) -> bool:
    """Return whether a file of a folder is taken, by its path in there."""
    path = PurePosixPath(name)
    return path.suffix.lower() in taken_suffixes(others) and not any(part.startswith(".") for part in path.parts)


def stamp(info: Mapping[str, Any]) -> tuple[int, int]:
    """Return a file's size and a number that changes with its content, from what its file system lists."""
    mark = next((str(info[name]) for name in CHANGE_MARKS if info.get(name)), "")
    return int(info.get("size") or 0), short_hash(mark)


def short_hash(text: str) -> int:
    """Return a number that changes with a text, of no more bits than SQLite holds."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def fetch(url: str, target: Path) -> None:
    """Copy a file to a local one, whose folder is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    files, path = open_store(url)
    with explained(url):
        files.get_file(path, str(target))


def send(source: Path, url: str) -> None:
    """Copy a local file to a URL, whole or not at all."""
    files, path = open_store(url)
    kinds = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
    with explained(url):
        if kinds & OBJECT_STORES:
            files.put_file(str(source), path)
        else:
            files.makedirs(path.rpartition("/")[0], exist_ok=True)
            files.put_file(str(source), path + PART_ENDING)
            files.mv(path + PART_ENDING, path)


def exists(place: Location) -> bool:
    """Return whether something has this name, a link to nowhere included."""
    if isinstance(place, Path):
        return os.path.lexists(place)
    files, path = open_store(place)
    with explained(place):
        files.invalidate_cache()
        return bool(files.exists(path))


def remove(place: Location) -> None:
    """Remove a file that may be gone already."""
    if isinstance(place, Path):
        place.unlink(missing_ok=True)
    elif exists(place):
        files, path = open_store(place)
        with explained(place):
            files.rm_file(path)


def present(folder: Location, names: Iterable[str]) -> set[str]:
    """Return which of these files are in a folder or its sub-folders."""
    if isinstance(folder, Path):
        return {name for name in names if exists(folder / name)}
    files, path = open_store(folder)
    with explained(folder):
        start = len(path.rstrip("/")) + 1
        return {str(found)[start:] for found in files.find(path)} & set(names)


@contextmanager
def local_file(place: Location) -> Iterator[Path]:
    """Yield a local file with the content of another, itself where it is local."""
    if isinstance(place, Path):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="autodir-") as folder:
        target = Path(folder, inside(PurePosixPath(place)).name)
        fetch(place, target)
        yield target


def write_text_to(place: Location, text: str) -> None:
    """Write a UTF-8 file, whole or not at all."""
    if isinstance(place, Path):
        write_text(place, text)
        return
    with tempfile.TemporaryDirectory(prefix="autodir-") as folder:
        write_text(Path(folder, "text"), text)
        send(Path(folder, "text"), place)
