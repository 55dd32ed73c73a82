"""Names of files that are being written, which say by whom: what a process left that has ended can be removed."""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import time
import zlib
from contextlib import suppress
from pathlib import Path

NAME = re.compile(r"\.autodir-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}(\.\w+)?")
LONG_AGO = 7 * 24 * 3600.0
"""Seconds after which a file that nobody has written to since is left, on whatever machine."""


def temporary_name(suffix: str = "") -> str:
    """Return a hidden name that nobody else has."""
    return f".autodir-{_machine():08x}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"


def is_temporary(path: Path) -> bool:
    """Return whether a file has a `temporary_name`."""
    return NAME.fullmatch(path.name) is not None


def is_left(path: Path) -> bool:
    """Return whether a file has the `temporary_name` of a process that has ended: one of this machine, or long ago."""
    found = NAME.fullmatch(path.name)
    if found is None:
        return False
    if int(found["machine"], 16) == _machine():
        return not process_exists(int(found["process"]))
    with suppress(OSError):  # its process may just have moved it
        return time.time() - path.stat().st_mtime > LONG_AGO
    return False


def remove_left(folder: Path) -> None:
    """Remove what processes that have ended were writing below a folder."""
    for place, folders, names in os.walk(folder):
        for path in map(Path(place).joinpath, [*folders, *names]):
            if is_left(path):
                shutil.rmtree(path, ignore_errors=True)
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def process_exists(number: int) -> bool:
    """Return whether a process of this machine runs."""
    if os.name == "nt":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, number)  # PROCESS_QUERY_LIMITED_INFORMATION
        if not handle:
            return False
        code = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return code.value == 259  # STILL_ACTIVE
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def machine() -> str:
    """Return the name of this machine, or of the container in it, whose numbers of processes are its own."""
    with suppress(OSError):
        return f"{platform.node()}/{os.readlink('/proc/self/ns/pid')}"
    return platform.node()


def _machine() -> int:
    return zlib.crc32(machine().encode())
