"""The file of a journal: its tables, and how it is told from those of other programs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from .planning.names import JOURNAL

PATIENCE = 60.0
"""Seconds that a process waits for others to finish writing."""

APPLICATION = 0x41444952
"""What the header of a journal says whose database it is: "ADIR"."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS workers (owner TEXT PRIMARY KEY, heard REAL NOT NULL);
CREATE TABLE IF NOT EXISTS pictures (
    number INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, source TEXT NOT NULL,
    size INTEGER NOT NULL, modified INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', owner TEXT, result TEXT,
    seconds REAL, sha256 TEXT, decision TEXT, facts TEXT, error TEXT
);
CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS output (place TEXT NOT NULL);
INSERT OR IGNORE INTO files SELECT result FROM pictures WHERE length(result) > 0;
CREATE INDEX IF NOT EXISTS by_state ON pictures (state, number);
"""


def open_database(path: Path) -> sqlite3.Connection:
    """Open the database of a journal, made if it is missing; sqlite3.Error where it cannot be used.

    A connection serves any thread, one at a time; nothing is written before BEGIN.
    """
    database = sqlite3.connect(path, PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        mark(database)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(SCHEMA)
    except sqlite3.Error:
        database.close()  # else its files stay open until garbage is collected
        raise
    return database


def mark(database: sqlite3.Connection) -> None:
    """Mark an empty database as a journal; sqlite3.Error for that of another program, which is left as it is.

    Journals were not always marked: one that has our tables alone is one too.
    """
    pages, number = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "application_id"))
    with closing(sqlite3.connect(":memory:")) as new:
        new.executescript(SCHEMA)
        ours, found = definitions(new), definitions(database)
    is_ours = number == APPLICATION or (not number and "pictures" in found and found.items() <= ours.items())
    if pages and not is_ours:
        raise sqlite3.DatabaseError(f"{JOURNAL} is the database of another program")
    if number != APPLICATION:
        database.execute(f"PRAGMA application_id = {APPLICATION}")


def definitions(database: sqlite3.Connection) -> dict[str, str]:
    """Return how everything in a database was defined, by its name, but for what SQLite keeps there by itself."""
    return dict(database.execute("SELECT name, sql FROM sqlite_master WHERE name NOT GLOB 'sqlite_*'"))
