"""Work off a batch: files are read ahead and written behind while the networks work on the picture between."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Generic, TypeVar

from ..errors import AutoDIRError, FullDiskError, explain_full_memory
from ..imaging.formats.errors import FORMAT_ERRORS
from ..imaging.paths import warn_once
from ..serialization.atomic import guarded, one_line
from ..serialization.hashing import sha256
from .journal import Journal, Outcome
from .planning.item import Item, check_source, is_film
from .planning.storage import Location, join, remove
from .staging import LOCAL, Staging
from .workers.presence import BEAT

READERS, AHEAD = 2, 2
"""Threads that decode, and pictures that wait decoded: more would only take memory."""

FAILURES = (AutoDIRError, *FORMAT_ERRORS)
"""What costs one picture and not the batch: our errors, the system's, and those that libraries raise on odd files."""

Source = TypeVar("Source")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Decoded:
    """A picture that was read, or that could not be.

    Attributes:
        local: its item, with a local source.
        picture: what `Work.read` gave.
        sha256: of the file.
        error: why it could not be read.
    """

    local: Item
    picture: Any = None
    sha256: str = ""
    error: Exception | None = None


@dataclass(frozen=True)
class Work(Generic[Source, Result]):
    """What is done to each picture.

    Attributes:
        process: the networks, in this thread, of what `read` gave.
        write: what comes of it, to files; in a thread of its own, while the next picture is processed.
        read: decodes a file, in a thread of its own.
        staging: local files of what is not local.
    """

    process: Callable[[Item, Source], Result]
    write: Callable[[Item, Source, Result], Outcome]
    read: Callable[[Path], Source]
    staging: Staging = LOCAL


def run_batch(
    items: Sequence[Item], journal: Journal, work: Work[Any, Any], on_outcome: Callable[[Item, Outcome], None]
) -> None:
    """Do the work for every picture that is waiting, until none is left for this process.

    What fails is told, and the next one follows; what an interruption leaves waits again. `on_outcome`: in this thread.
    FullDiskError where no further result could be written either.
    """
    note = partial(note_outcome, journal, work.staging.output or work.staging.results)
    with (
        heartbeat(journal),
        ThreadPoolExecutor(READERS, "read") as readers,
        ThreadPoolExecutor(1, "write") as writer,
    ):
        written: deque[tuple[Item, Future[Outcome]]] = deque()
        for item, decoded in read_ahead(items, journal, readers, work):
            written.append((item, start_one(item, decoded, work, writer, note)))
            while len(written) > 1 or (written and written[0][1].done()):
                on_outcome(*result_of(written.popleft()))
        for pair in written:
            on_outcome(*result_of(pair))


def note_outcome(journal: Journal, output: Location, item: Item, outcome: Outcome) -> None:
    """Note what became of a picture that is still ours, once an older result that it no longer has is removed."""
    if not journal.holds(item):
        return
    if older := journal.outdated(item, outcome):
        try:
            remove(join(output, older))
        except FAILURES as error:
            warn_once(f"{join(output, older)} is an older result and cannot be removed: {one_line(error)}")
    journal.finish(item, outcome)


def read_ahead(
    items: Sequence[Item], journal: Journal, readers: ThreadPoolExecutor, work: Work[Any, Any]
) -> Iterator[tuple[Item, Future[Decoded]]]:
    """Yield the claimed pictures, the next ones being decoded meanwhile.

    A film is claimed when it is its turn: others may take it while this process is hours at another.
    """
    waiting: deque[tuple[Item, Future[Decoded]]] = deque()
    for item in items:
        film = is_film(item.source_path)
        while len(waiting) > (0 if film else AHEAD):
            yield waiting.popleft()
        if journal.claim(item):
            waiting.append((item, readers.submit(read_one, item, work)))
        if film and waiting:
            yield waiting.popleft()
    yield from waiting


def read_one(item: Item, work: Work[Any, Any], content: bytes | None = None) -> Decoded:
    """Decode a picture, from its file, its URL or its `content`; an error is a part of what is returned."""
    local = item
    try:
        local = work.staging.fetch(item, content)
        check_source(local.source_path)
        with explain_full_memory(str(item.source)):
            return Decoded(local, work.read(local.source_path), sha256(local.source_path))
    except FAILURES as error:
        return Decoded(local, error=error)


def start_one(
    item: Item,
    reading: Future[Decoded],
    work: Work[Any, Any],
    writer: ThreadPoolExecutor,
    note: Callable[[Item, Outcome], None] = lambda item, outcome: None,
) -> Future[Outcome]:
    """Process a picture and return the future of its files; that of a failure where it could not be done.

    `note` is called as soon as its files are there, in any thread: the next picture may take hours.
    """
    start = perf_counter()
    attempt = Attempt(item, reading.result(), work, start)
    try:
        with explain_full_memory(str(item.source)):
            result = attempt.process()
    except FullDiskError:
        raise
    except FAILURES as error:
        outcome = attempt.failure(error)
        note(item, outcome)
        return finished(outcome)

    def write() -> Outcome:
        outcome = attempt.write(result)
        note(item, outcome)
        return outcome

    return writer.submit(write)


@dataclass(frozen=True)
class Attempt:
    """The work on one picture that was read, or that could not be."""

    item: Item
    decoded: Decoded
    work: Work[Any, Any]
    start: float

    def process(self) -> Any:
        """Return what the networks make of it; raises what reading it raised."""
        if self.decoded.error:
            raise self.decoded.error
        with guarded(self.check):
            return self.work.process(self.decoded.local, self.decoded.picture)

    def check(self, path: Path) -> None:
        """Raise where a result is about to be moved over a file that is none of the batch's."""
        for name in self.item.files:
            if path == self.work.staging.results / name:
                self.work.staging.check(self.item, name)

    def write(self, result: Any) -> Outcome:
        """Write its files and bring them to where they belong."""
        try:
            with guarded(self.check):
                outcome = self.work.write(self.decoded.local, self.decoded.picture, result)
            if outcome.result:
                keep_date(self.item.source, self.work.staging.results / outcome.result)
            self.work.staging.deliver(outcome.result)
        except FullDiskError:
            raise
        except FAILURES as error:
            return self.failure(error)
        return self.close(outcome)

    def failure(self, error: Exception) -> Outcome:
        """Return what is noted of an error; one that is neither ours nor the system's was met by a library."""
        text = one_line(error)
        if not isinstance(error, (AutoDIRError, OSError)):
            text = f"{self.item.source}: {type(error).__name__}: {text}; a fault of the program, please report it"
        text = text.replace(str(self.decoded.local.source), str(self.item.source))
        return self.close(Outcome("failed", error=text))

    def close(self, outcome: Outcome) -> Outcome:
        """Remove the local copy; return the outcome with its time and the digest of its file."""
        self.work.staging.discard(self.item, self.decoded.local)
        return replace(outcome, seconds=round(perf_counter() - self.start, 3), sha256=self.decoded.sha256)


def keep_date(source: Location, result: Path) -> None:
    """Give a result the date of its source, by which folders of scans without EXIF are sorted; URLs have none.

    That a disk refuses it, as some shares do, is told.
    """
    if isinstance(source, Path) and source.exists():
        facts = source.stat()
        try:
            os.utime(result, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        except OSError as error:
            warn_once(f"{result.parent}: results do not get the dates of their pictures: {one_line(error)}")


def finished(outcome: Outcome) -> Future[Outcome]:
    future: Future[Outcome] = Future()
    future.set_result(outcome)
    return future


def result_of(pair: tuple[Item, Future[Outcome]]) -> tuple[Item, Outcome]:
    """Return what became of a picture, once its files are there."""
    item, future = pair
    return item, future.result()


@contextmanager
def heartbeat(journal: Journal) -> Iterator[None]:
    """Give signs of life while the block runs."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            with suppress(AutoDIRError):  # which the next picture meets too, if it lasts
                journal.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
