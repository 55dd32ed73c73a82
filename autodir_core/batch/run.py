"""Work off a batch: files are read ahead and written behind while the networks work on the picture between."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Generic, TypeVar

from ..errors import AutoDIRError, explain_full_memory
from ..serialization.atomic import one_line
from ..serialization.hashing import sha256
from .journal import BEAT, Journal, Outcome
from .plan import Item

READERS, AHEAD = 2, 2
"""Threads that decode, and pictures that wait decoded: more would only take memory."""

Source = TypeVar("Source")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Work(Generic[Source, Result]):
    """What is done to each picture.

    Attributes:
        process: the networks, in this thread, of what `read` gave.
        write: what comes of it, to files; in a thread of its own, while the next picture is processed.
        read: decodes a file, in a thread of its own.
    """

    process: Callable[[Item, Source], Result]
    write: Callable[[Item, Source, Result], Outcome]
    read: Callable[[Path], Source]


def run_batch(
    items: Sequence[Item], journal: Journal, work: Work[Any, Any], on_outcome: Callable[[Item, Outcome], None]
) -> None:
    """Do the work for every picture that is waiting, until none is left for this process.

    What fails is noted and told, and the next one follows. `on_outcome` is called in this thread. After an
    interruption what was not written waits again.
    """
    with (
        heartbeat(journal),
        ThreadPoolExecutor(READERS, "read") as readers,
        ThreadPoolExecutor(1, "write") as writer,
    ):
        written: deque[tuple[Item, Future[Outcome]]] = deque()
        for item, decoded in read_ahead(items, journal, readers, work.read):
            written.append((item, start_one(item, decoded, work, writer)))
            while len(written) > 1 or (written and written[0][1].done()):
                settle(*written.popleft(), journal, on_outcome)
        for pair in written:
            settle(*pair, journal, on_outcome)


def read_ahead(
    items: Sequence[Item], journal: Journal, readers: ThreadPoolExecutor, read: Callable[[Path], Any]
) -> Iterator[tuple[Item, Future[tuple[Any, str]]]]:
    """Yield the claimed pictures, the next ones being decoded meanwhile."""
    waiting: deque[tuple[Item, Future[tuple[Any, str]]]] = deque()
    for item in items:
        if journal.claim(item):
            waiting.append((item, readers.submit(read_and_hash, item.source, read)))
        if len(waiting) > AHEAD:
            yield waiting.popleft()
    yield from waiting


def read_and_hash(path: Path, read: Callable[[Path], Any]) -> tuple[Any, str]:
    return read(path), sha256(path)


def start_one(
    item: Item, decoded: Future[tuple[Any, str]], work: Work[Any, Any], writer: ThreadPoolExecutor
) -> Future[Outcome]:
    """Process a picture and return the future of its files; that of a failure where it could not be done."""
    start, digest = perf_counter(), ""
    try:
        with explain_full_memory(str(item.source)):
            picture, digest = decoded.result()
            result = work.process(item, picture)
    except (AutoDIRError, OSError) as error:
        return finished(failure(error, start, digest))

    def write() -> Outcome:
        try:
            outcome = work.write(item, picture, result)
        except (AutoDIRError, OSError) as error:
            return failure(error, start, digest)
        return replace(outcome, seconds=round(perf_counter() - start, 3), sha256=digest)

    return writer.submit(write)


def failure(error: Exception, start: float, digest: str) -> Outcome:
    return Outcome("failed", seconds=round(perf_counter() - start, 3), sha256=digest, error=one_line(error))


def finished(outcome: Outcome) -> Future[Outcome]:
    future: Future[Outcome] = Future()
    future.set_result(outcome)
    return future


def settle(item: Item, future: Future[Outcome], journal: Journal, tell: Callable[[Item, Outcome], None]) -> None:
    """Note what became of a picture once its files are there."""
    outcome = future.result()
    journal.finish(item, outcome)
    tell(item, outcome)


@contextmanager
def heartbeat(journal: Journal) -> Iterator[None]:
    """Give signs of life while the block runs."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            journal.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
