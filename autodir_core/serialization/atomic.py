"""Write files whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from ..errors import FullDiskError, InputError
from .temporary import temporary_name

FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL = FULL_DISK | {errno.EFBIG}
"""What the operating system says where a disk or a share of it holds nothing more, and of a file too."""


_check: ContextVar[Callable[[Path], None]] = ContextVar("check", default=lambda path: None)


@contextmanager
def guarded(check: Callable[[Path], None]) -> Iterator[None]:
    """In the block call `check` with each path right before a file is moved there; what it raises keeps what is there.

    It holds for this thread.
    """
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the same folder, moved to `path` when the block ends well and removed when it does not.

    It keeps the suffix of `path`, exists already as an empty file, and missing folders are made. Raises InputError
    where the place cannot be written, or is full before the block ends.
    """
    path = Path(path)
    temporary = path.parent / temporary_name(path.suffix)
    _reserve(temporary, path)
    try:
        yield temporary
        _check.get()(path)
        _move(temporary, path)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def explain_write(path: str | os.PathLike[str], *failures: type[Exception]) -> Iterator[None]:
    """Turn what is raised where a file cannot be written, such as on a full disk, into one line: InputError.

    Args:
        path: what is written in the end.
        failures: the errors that the library raises which writes, beside those of the operating system.
    """
    try:
        yield
    except (OSError, *failures) as error:
        raise _unwritable(path, error) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 file, whole or not at all, with the line ends of the text.

    The bytes of file names that are no UTF-8 are written as escapes such as \\udce9, which JSON reads back.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file bit for bit, whole or not at all."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _unwritable(path: str | os.PathLike[str], error: Exception) -> InputError:
    return _kind(error)(f"cannot write {path}: {one_line(error)}; free space there, or choose another place")


def _kind(error: Exception) -> type[InputError]:
    return FullDiskError if isinstance(error, OSError) and error.errno in FULL_DISK else InputError


def _reserve(temporary: Path, path: Path) -> None:
    """Create the temporary file now, so that a place that cannot be written is known before the work."""
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; give a file name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise _kind(error)(f"cannot write into {path.parent}: {one_line(error)}; choose another folder") from error


def _move(temporary: Path, path: Path) -> None:
    try:
        os.replace(temporary, path)
    except OSError as error:
        raise _kind(error)(f"cannot replace {path}: {one_line(error)}; is it open in another program?") from error


def in_utf8(text: str) -> str:
    """Return a text with the bytes of file names that are no UTF-8 as escapes such as \\udce9."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(error: BaseException) -> str:
    """Return what went wrong, in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(filter(None, map(str.strip, text.splitlines()))) or type(error).__name__
