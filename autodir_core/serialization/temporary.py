"""Names of files that are being written, which say by whom: what a process left that has ended can be removed."""

from __future__ import annotations

import os
import platform
import re
import secrets
import zlib
from pathlib import Path

NAME = re.compile(r"\.(?P<machine>[0-9a-f]{4})(?P<process>[0-9a-f]{6})[0-9a-f]{6}(\.\w+)?")
PROCESSES = 0xFFFFFF
"""Of the number of a process what has room in a name; no system has more at once."""


def temporary_name(suffix: str = "") -> str:
    """Return a hidden name that nobody else has."""
    return f".{_machine():04x}{os.getpid() & PROCESSES:06x}{secrets.token_hex(3)}{suffix}"


def is_temporary(path: Path) -> bool:
    """Return whether a file has a `temporary_name`."""
    return NAME.fullmatch(path.name) is not None


def is_left(path: Path) -> bool:
    """Return whether a file has the `temporary_name` of a process of this machine that has ended."""
    found = NAME.fullmatch(path.name)
    if found is None or int(found["machine"], 16) != _machine():
        return False
    return not process_exists(int(found["process"], 16))


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


def _machine() -> int:
    return zlib.crc32(platform.node().encode()) & 0xFFFF
