"""Who is at work with a journal: every process gives signs of life, and what one had that is gone waits again."""

from __future__ import annotations

import os
import sqlite3
import time

from ...serialization.temporary import machine, process_exists

LEASE = 120.0
"""Seconds after which a process that has not been heard of counts as gone, wherever it runs."""

BEAT = 20.0
"""Seconds between two signs of life."""


class Presence:
    """One process among those of a journal; its methods take the journal's database, in a transaction."""

    def __init__(self) -> None:
        self.owner = f"{machine()}:{os.getpid()}:{time.time_ns()}"
        self.signs: dict[str, tuple[float, float]] = {}  # by process its last sign of life, and since when it is that

    def beat(self, database: sqlite3.Connection) -> None:
        """Tell the others that this process is at work."""
        database.execute("INSERT OR REPLACE INTO workers VALUES (?, ?)", [self.owner, time.time()])

    def take_back(self, database: sqlite3.Connection) -> None:
        """Let the pictures of processes that are gone wait again."""
        for owner, heard in database.execute("SELECT * FROM workers").fetchall():
            if self._is_silent(owner, heard) or is_gone(owner):
                leave(database, owner)

    def _is_silent(self, owner: str, heard: float) -> bool:
        """Return whether a process gave no sign for a lease: by the clock, or for as long as this one has looked.

        The latter holds where a clock was set back, which makes old signs look new.
        """
        now = time.monotonic()
        sign, since = self.signs.get(owner, (heard, now))
        self.signs[owner] = (heard, since if sign == heard else now)
        return time.time() - heard > LEASE or now - self.signs[owner][1] > LEASE


def leave(database: sqlite3.Connection, owner: str) -> None:
    """Let the pictures of a process wait again, and forget it."""
    database.execute("UPDATE pictures SET state = 'waiting' WHERE owner = ? AND state = 'working'", [owner])
    database.execute("DELETE FROM workers WHERE owner = ?", [owner])


def is_gone(owner: str) -> bool:
    """Return whether the process behind an entry was one of this machine and has ended."""
    host, process, _ = owner.rsplit(":", 2)
    return host == machine() and not process_exists(int(process))
