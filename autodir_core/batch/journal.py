"""The journal of a batch: what is waiting, at work, done or failed, in SQLite, shared by any number of processes.

A process that is killed loses the pictures that it had at work, no others: the next one to look takes them back.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import AutoDIRError, InputError
from ..serialization.atomic import in_utf8, one_line
from .database import open_database
from .planning.item import Item, absolute, is_other, stamp_of
from .planning.names import JOURNAL
from .planning.storage import URL, Location
from .workers.presence import Presence, leave

OUTCOME = "result", "seconds", "sha256", "decision", "facts", "error"
HIDDEN = {"waiting": OUTCOME, "working": OUTCOME, "failed": ("result",)}
"""Of what a row holds the columns that are of an older outcome, by state."""


@dataclass(frozen=True)
class Outcome:
    """What became of one picture.

    Attributes:
        state: "done", "clean" (nothing was changed), or "failed".
        decision: the labels of its rounds, or why there were none, for readers.
        result: the name of its file in the output folder; "" where none was written.
        seconds: of the work.
        sha256: of the input file; "" where it could not be read.
        facts: of the result, ready for JSON.
        error: of a failure, in one line.
    """

    state: str
    decision: str = ""
    result: str = ""
    seconds: float = 0.0
    sha256: str = ""
    facts: Mapping[str, Any] | None = None
    error: str = ""


class Journal:
    """One process's access to the journal of an output folder; usable from any of its threads, one at a time."""

    def __init__(self, folder: Path) -> None:
        """Open the journal in a folder or begin one; InputError where it cannot be used."""
        self.path = folder / JOURNAL
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.is_new = not self.path.exists()
            self.database = open_database(self.path)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"cannot keep a journal in {folder}: {one_line(error)}; choose another output folder, or remove the "
                f"{JOURNAL} there and begin anew with --overwrite"
            ) from error
        self._lock = threading.Lock()
        self.presence = Presence()
        self.beat()

    def close(self) -> None:
        """Give back what this process has at work, and leave; a journal in which nothing was noted is removed."""
        with self.writing() as database:
            leave(database, self.presence.owner)
            tables = ("settings", "pictures", "workers")
            used = any(database.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for name in tables)  # noqa: S608 -- ours
        self.database.close()
        if not used and self.is_new:
            for ending in ("", "-wal", "-shm"):
                Path(f"{self.path}{ending}").unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write everything in the block or nothing; others wait, this process's other threads too.

        Raises AutoDIRError where the journal cannot be written, as on a full disk, or is gone with its folder.
        """
        if not self.path.exists():  # SQLite would go on in a file that nobody finds
            raise AutoDIRError(f"the journal {self.path} is gone; run the same command again to begin anew")
        try:
            with self._lock, self.database:  # commits, or takes back what an error interrupts
                self.database.execute("BEGIN IMMEDIATE")
                yield self.database
        except sqlite3.OperationalError as error:
            raise AutoDIRError(
                f"cannot write the journal {self.path}: {error}; see that there is room, and run the same command "
                "again: what is done is kept"
            ) from error

    def keep_to(self, output: Location, folder: Path) -> None:
        """Note where the results of the journal in a folder go; InputError as of `check_place`."""
        with self.writing() as database:
            place = os.fsencode(place_of(output, folder))
            database.execute("INSERT INTO output SELECT ? WHERE NOT EXISTS (SELECT 1 FROM output)", [place])
            self.check_place(output, folder)  # which another process may have noted meanwhile

    def check_place(self, output: Location, folder: Path) -> None:
        """InputError where the journal in a folder is that of results in another place."""
        found = self.database.execute("SELECT place FROM output").fetchone()
        noted = os.fsdecode(found[0]) if found else ""
        if noted not in ("", place_of(output, folder)):
            theirs = noted if URL.match(noted) else os.path.normpath(os.path.join(os.path.realpath(folder), noted))
            raise InputError(
                f"the journal in {folder} is that of the results in {theirs}; give -o {theirs}, or another "
                "--journal folder for other results"
            )

    def agree(self, settings: Mapping[str, Any]) -> None:
        """Note the settings of the batch; InputError where it was begun with others, which says what differs."""
        ours = {name: in_utf8(json.dumps(one, sort_keys=True, ensure_ascii=False)) for name, one in settings.items()}
        with self.writing() as database:
            theirs = dict(database.execute("SELECT name, value FROM settings"))
            if not theirs:
                database.executemany("INSERT INTO settings VALUES (?, ?)", ours.items())
                return
        names = sorted(ours.keys() | theirs.keys())
        unlike = [
            f"--{name.replace('_', '-')} {in_words(theirs.get(name))}, now {in_words(ours.get(name))}"
            for name in names
            if theirs.get(name) != ours.get(name)
        ]
        if unlike:
            raise InputError(
                f"this batch was begun with other settings: {'; '.join(unlike)}; give those, or another output folder"
            )

    def others(self, items: Sequence[Item]) -> dict[str, str]:
        """Return of the names that are those of another picture its source; one that was moved is no other."""
        found = self.database.execute("SELECT name, source, sha256, size, modified FROM pictures")
        known = {os.fsdecode(name): (os.fsdecode(source), digest, stamp) for name, source, digest, *stamp in found}
        return {one.name: known[one.name][0] for one in items if one.name in known and is_other(one, *known[one.name])}

    def names(self) -> dict[str, str]:
        """Return the name of each picture by its source, the first one that it got."""
        found = self.database.execute("SELECT source, name FROM pictures ORDER BY number DESC")
        return {os.fsdecode(source): os.fsdecode(name) for source, name in found}

    def add(self, items: Sequence[Item]) -> None:
        """Add pictures that are not there yet; those whose file has changed since wait again, whoever has them at work.

        So does what was never read, where it is another now.
        """
        rows = [(os.fsencode(item.name), os.fsencode(absolute(item.source)), *stamp_of(item)) for item in items]
        with self.writing() as database:
            database.executemany(
                "INSERT INTO pictures (name, source, size, modified) VALUES (?, ?, ?, ?) ON CONFLICT (name) "
                "DO UPDATE SET source = excluded.source, size = excluded.size, modified = excluded.modified, "
                "state = CASE WHEN (size, modified) = (excluded.size, excluded.modified) "
                "AND (source = excluded.source OR sha256 != '' OR state = 'working') THEN state ELSE 'waiting' END",
                rows,
            )

    def redo(self, names: Iterable[str]) -> None:
        """Let pictures that are finished wait again."""
        with self.writing() as database:
            database.executemany(
                "UPDATE pictures SET state = 'waiting' WHERE name = ? AND state != 'working'",
                [[os.fsencode(name)] for name in names],
            )

    def retry_failed(self, items: Iterable[Item]) -> int:
        """Let those that failed wait again; return how many."""
        with self.writing() as database:
            return database.executemany(
                "UPDATE pictures SET state = 'waiting' WHERE name = ? AND state = 'failed'",
                [[os.fsencode(item.name)] for item in items],
            ).rowcount

    def claim(self, item: Item) -> bool:
        """Take a picture, if it is waiting; afterwards no other process does."""
        with self.writing() as database:
            self.presence.take_back(database)
            taken = database.execute(
                "UPDATE pictures SET state = 'working', owner = ? WHERE name = ? AND state = 'waiting'",
                [self.presence.owner, os.fsencode(item.name)],
            )
            return taken.rowcount == 1

    def holds(self, item: Item) -> bool:
        """Return whether this process has a picture at work: not if it has changed since, or was long silent."""
        with self.writing() as database:
            query = "SELECT 1 FROM pictures WHERE name = ? AND owner = ? AND state = 'working'"
            return database.execute(query, [os.fsencode(item.name), self.presence.owner]).fetchone() is not None

    def release(self, item: Item) -> None:
        """Let a picture that this process has at work wait again."""
        with self.writing() as database:
            database.execute(
                "UPDATE pictures SET state = 'waiting' WHERE name = ? AND owner = ? AND state = 'working'",
                [os.fsencode(item.name), self.presence.owner],
            )

    def finish(self, item: Item, outcome: Outcome) -> None:
        """Note what became of a picture that this process has at work; of one that fails an older result stays its own.

        Of one that it has no more (see `holds`) nothing is noted.
        """
        facts = in_utf8(json.dumps(outcome.facts, ensure_ascii=False)) if outcome.facts else None
        values = asdict(outcome) | {"facts": facts, "result": os.fsencode(outcome.result)}
        values |= {"decision": in_utf8(outcome.decision), "error": in_utf8(outcome.error)}
        with self.writing() as database:
            database.execute(
                "UPDATE pictures SET state = :state, decision = :decision, seconds = :seconds, sha256 = :sha256, "
                "result = CASE WHEN :state = 'failed' THEN result ELSE :result END, "
                "facts = :facts, error = :error, owner = NULL "
                "WHERE name = :name AND owner = :owner AND state = 'working'",
                values | {"name": os.fsencode(item.name), "owner": self.presence.owner},
            )
            if outcome.result:
                database.execute("INSERT OR IGNORE INTO files VALUES (?)", [os.fsencode(outcome.result)])

    def outdated(self, item: Item, outcome: Outcome) -> str:
        """Return the older result that a picture no longer has with an outcome, unless another has it; "" for none."""
        name = os.fsencode(item.name)
        with self.writing() as database:
            (older,) = database.execute("SELECT result FROM pictures WHERE name = ?", [name]).fetchone()
            if not older or outcome.state == "failed" or os.fsdecode(older) == outcome.result:
                return ""
            query = "SELECT 1 FROM pictures WHERE result = ? AND name != ?"
            return "" if database.execute(query, [older, name]).fetchone() else os.fsdecode(older)

    def beat(self) -> None:
        """Tell the others that this process is at work."""
        with self.writing() as database:
            self.presence.beat(database)

    def open_names(self) -> set[str]:
        """Return the names of the pictures that are not finished."""
        found = self.database.execute("SELECT name FROM pictures WHERE state IN ('waiting', 'working')")
        return {os.fsdecode(name) for (name,) in found}

    def states(self) -> dict[str, str]:
        """Return the state of every picture by its name."""
        return {os.fsdecode(name): state for name, state in self.database.execute("SELECT name, state FROM pictures")}

    def results(self) -> dict[str, str]:
        """Return the file of every picture that has one, by its name."""
        found = self.database.execute("SELECT name, result FROM pictures WHERE state IN ('done', 'clean')")
        return {os.fsdecode(name): os.fsdecode(result) for name, result in found if result}

    def settled(self, items: Iterable[Item], *, retry_failed: bool) -> set[str]:
        """Return the names of pictures that are finished and have not changed since; those that failed on demand."""
        found = self.database.execute("SELECT name, state, size, modified FROM pictures").fetchall()
        left = {"waiting", "working", *(["failed"] if retry_failed else ())}
        known = {os.fsdecode(name): tuple(stamp) for name, state, *stamp in found if state not in left}
        return {item.name for item in items if item.name in known and known[item.name] == stamp_of(item)}

    def has_written(self, name: str) -> bool:
        """Return whether a file of this name is the batch's own."""
        with self.writing() as database:
            found = database.execute("SELECT 1 FROM files WHERE name = ?", [os.fsencode(name)])
            return found.fetchone() is not None

    def note_file(self, name: str) -> None:
        """Note a file that is about to be moved to its name: whoever is killed then cannot note it afterwards."""
        with self.writing() as database:
            database.execute("INSERT OR IGNORE INTO files VALUES (?)", [os.fsencode(name)])

    def files(self) -> set[str]:
        """Return the names of all files that the batch has written or was about to, of pictures that changed too."""
        return {os.fsdecode(name) for (name,) in self.database.execute("SELECT name FROM files")}

    def rows(self) -> list[dict[str, Any]]:
        """Return all pictures with what became of them, in their order; what waits again has no outcome."""
        columns = ("name", "source", "state", *OUTCOME)
        found = self.database.execute(f"SELECT {', '.join(columns)} FROM pictures ORDER BY number")  # noqa: S608 -- our names
        rows = [dict(zip(columns, row, strict=True)) for row in found]
        rows = [row | dict.fromkeys(HIDDEN.get(row["state"], ())) for row in rows]
        names = [{key: os.fsdecode(row[key] or b"") for key in ("name", "source", "result")} for row in rows]
        return [row | own | {"facts": json.loads(row["facts"] or "{}")} for row, own in zip(rows, names, strict=True)]


def place_of(output: Location, folder: Path) -> str:
    """Return the place of results as the journal in a folder notes it: relative where both can be moved together."""
    if not isinstance(output, Path):
        return output.rstrip("/")
    place, own = os.path.realpath(output), os.path.realpath(folder)
    return os.path.relpath(place, own) if Path(own).is_relative_to(place) else place


def in_words(value: str | None) -> str:
    """Return a setting, as it is noted, as people say it."""
    return {None: "not given", "null": "not given", "true": "on", "false": "off"}.get(value, str(value))
