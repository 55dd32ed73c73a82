"""A batch on a Ray cluster: workers with a model each, while this process, the driver, keeps the journal.

Workers need none of the driver's files: it sends them what local inputs hold and writes what they send back; where an
input or OUT is a URL they read and write it themselves. Imported on use: it needs Ray.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import re
import shutil
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...cli.options import load_model
from ...errors import AutoDIRError, FullDiskError, InputError
from ...optional_imports import optional_import
from ...serialization.atomic import atomic_path, one_line
from ..journal import Journal, Outcome
from ..planning.item import Item, check_source
from ..planning.storage import is_url
from ..run import Work, heartbeat, keep_date, note_outcome, read_one, start_one
from ..staging import Staging, refuse_taken

with optional_import("ray", "leave --ray out"):
    import ray
    from ray.exceptions import RayError, RayTaskError

PACKAGE = Path(__file__).resolve().parents[2]
"""Sent to the workers, so that theirs is the code of the driver."""

IN_FLIGHT = 2
"""Pictures at a worker: one in the networks, one being read or written; no more of them take memory anywhere."""

TRIES = 3
"""How often a picture is begun whose worker ends, and how many workers in a row may end before one is ready."""

WAIT, CLOSING = 1.0, 10.0
"""Seconds between two looks at the size of the cluster; seconds that workers have to clean up."""

HOST_AND_PORT, KNOCK_SECONDS = re.compile(r"(?:ray://)?\[?(?P<host>[^/\]]+)\]?:(?P<port>\d+)(?:/.*)?"), 5.0

Tell = Callable[[Item, Outcome], None]


@dataclass(frozen=True)
class Parcel:
    """What a worker gets for a picture: the content of its file, where that is not a URL, and of its mask."""

    item: Item
    content: bytes | None
    mask: bytes | None


class Worker:
    """A process of the cluster with a model of its own, loaded once."""

    def __init__(self, arguments: argparse.Namespace, weights: bytes | None) -> None:
        self.arguments, self.weights = argparse.Namespace(**vars(arguments)), weights
        self.networks = threading.Lock()
        self.masks: dict[str, bytes | None] = {}

    def load(self) -> str:
        """Load the model; return which process this is."""
        from ..work import chosen_work

        self.folder, own = Path(tempfile.mkdtemp(prefix="autodir-")), self.arguments
        if self.weights is not None:
            own.model = str(self.folder / Path(own.model).name)
            Path(own.model).write_bytes(self.weights)
        self.staging = Staging.below(self.folder, own.output if is_url(own.output) else self.folder / "results")
        self.readers, self.writers = ThreadPoolExecutor(IN_FLIGHT), ThreadPoolExecutor(IN_FLIGHT)
        work = chosen_work(load_model(own), own, self.staging)
        self.work = replace(work, process=lambda item, picture: self.process(work, item, picture))
        return f"{platform.node()}:{os.getpid()}"

    def process(self, work: Work[Any, Any], item: Item, picture: Any) -> Any:
        """Let the networks see one picture at a time, while others are read and written."""
        with self.networks:
            if (mask := self.masks.pop(item.name)) and item.mask:
                own = self.folder / f"mask{item.mask.suffix}"
                own.write_bytes(mask)
                item = replace(item, mask=own)
            return work.process(item, picture)

    def do(self, parcel: Parcel) -> tuple[Outcome, bytes | None]:
        """Return what became of a picture, and the file of its result where that is the driver's to write."""
        self.masks[parcel.item.name] = parcel.mask
        reading = self.readers.submit(read_one, parcel.item, self.work, parcel.content)
        outcome = start_one(parcel.item, reading, self.work, self.writers).result()
        if is_url(self.arguments.output) or not outcome.result:
            return outcome, None
        result = self.staging.results / outcome.result
        content = result.read_bytes()
        result.unlink()
        return outcome, content

    def close(self) -> None:
        """Remove what is kept on the disk of its machine."""
        shutil.rmtree(self.folder, ignore_errors=True)


def run_cluster(items: Sequence[Item], journal: Journal, arguments: argparse.Namespace, on_outcome: Tell) -> None:
    """Do the work for every picture that is waiting on a cluster, as `run_batch` does it in this process."""
    with cluster(arguments), heartbeat(journal):
        Driver(journal, arguments, on_outcome, *worker_factory(arguments)).run(items)


@contextmanager
def cluster(arguments: argparse.Namespace) -> Iterator[None]:
    """Be connected to a cluster; InputError where none answers."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a new cluster would report to its makers
    os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")  # it would warn of the worker that waits for a machine
    try:
        connect(arguments.ray, quiet=arguments.quiet)
        yield
    finally:
        ray.shutdown()


def connect(address: str, *, quiet: bool) -> None:
    code = {"py_modules": [str(PACKAGE)], "excludes": ["__pycache__"]}
    shown: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": not quiet, "include_dashboard": False}
    try:
        asyncio.run(knock(address))
        ray.init(address, runtime_env=code, **shown)
    except (RuntimeError, ValueError, OSError, asyncio.TimeoutError) as error:
        raise InputError(
            f"no Ray cluster answers at {address} ({one_line(error)}); give the address that `ray start --head` "
            'prints, "auto", or "local"'
        ) from error


async def knock(address: str) -> None:
    """OSError or TimeoutError where nothing listens at a host and port: Ray would try for two minutes."""
    if found := HOST_AND_PORT.fullmatch(address):
        opened = asyncio.open_connection(found["host"], found["port"])
        _, writer = await asyncio.wait_for(opened, KNOCK_SECONDS)
        writer.close()


@dataclass
class Driver:
    """Hands pictures to workers and notes what becomes of them.

    Attributes:
        resource, create: from `worker_factory`.
        starting, load: workers that load their model, by the reference of that; the others, with their places taken.
        tasks: the reference of each picture at work, with its worker.
        lost: how often each picture was at work when its worker ended.
        early: workers that ended before they were ready, since the last one that was.
    """

    journal: Journal
    arguments: argparse.Namespace
    tell: Tell
    resource: str
    create: Callable[[], Any]
    starting: dict[Any, Any] = field(default_factory=dict[Any, Any])
    load: dict[Any, int] = field(default_factory=dict[Any, int])
    tasks: dict[Any, tuple[Any, Item]] = field(default_factory=dict[Any, tuple[Any, Item]])
    lost: Counter[str] = field(default_factory=Counter[str])
    early: int = 0

    def run(self, items: Sequence[Item]) -> None:
        """Work until no picture is left that others do not have at work."""
        waiting = deque(items)
        while waiting or self.tasks:
            self.grow(len(waiting))
            self.hand_out(waiting)
            references = [*self.starting, *self.tasks]
            for reference in ray.wait(references, num_returns=1, timeout=WAIT)[0] if references else ():
                self.settle(reference, waiting)
        ray.wait([worker.close.remote() for worker in self.load], num_returns=len(self.load), timeout=CLOSING)

    def grow(self, left: int) -> None:
        """Begin workers: as many as the cluster has room for, and one more, which begins where a machine is added."""
        room = int(ray.cluster_resources().get(self.resource, 0)) + 1
        wanted = min(room, left, self.arguments.workers or room)
        for _ in range(wanted - len(self.starting) - len(self.load)):
            worker = self.create()
            self.starting[worker.load.remote()] = worker

    def hand_out(self, waiting: deque[Item]) -> None:
        """Give every worker as many pictures as it may have."""
        for worker in sorted(self.load, key=self.load.__getitem__):
            while waiting and self.load[worker] + self.places(waiting[0]) <= IN_FLIGHT:
                item = waiting.popleft()
                if self.journal.claim(item):
                    self.submit(worker, item)

    def places(self, item: Item) -> int:
        """Return how much of a worker a picture takes: one whose worker has ended is done alone, as it may be why."""
        return IN_FLIGHT if self.lost[item.name] else 1

    def submit(self, worker: Any, item: Item) -> None:
        try:
            if is_url(self.arguments.output) and not self.arguments.assess_only:  # the worker writes it
                for name in item.files:
                    self.check(item, name)
            parcel = pack(item)
        except (AutoDIRError, OSError) as error:
            named = "" if isinstance(error, AutoDIRError) else f"{item.source}: "
            self.finish(item, Outcome("failed", error=named + one_line(error)))
            return
        self.tasks[worker.do.remote(parcel)] = worker, item
        self.load[worker] += self.places(item)

    def settle(self, reference: Any, waiting: deque[Item]) -> None:
        """Note what came of a task: a worker that is ready, or a picture that is done; or that its worker ended."""
        worker, item = (self.starting.pop(reference), None) if reference in self.starting else self.tasks.pop(reference)
        try:
            answer = ray.get(reference)
        except RayTaskError as error:
            if not isinstance(error.cause, AutoDIRError):
                raise
            raise AutoDIRError(one_line(error.cause)) from error
        except RayError as error:
            self.drop(worker, item, error, waiting)
            return
        if item is None:
            self.load[worker], self.early = 0, 0
            return
        if worker in self.load:  # else it has ended since
            self.load[worker] -= self.places(item)
        self.finish(item, self.write(item, *answer))

    def drop(self, worker: Any, item: Item | None, error: RayError, waiting: deque[Item]) -> None:
        """Leave a worker that has ended; what it had at work waits again."""
        self.load.pop(worker, None)
        ray.kill(worker)  # one that only cannot be reached would go on
        if item is None:
            self.early += 1
            if self.early == TRIES:
                raise AutoDIRError(f"{TRIES} workers ended before they were ready ({one_line(error)}); see Ray's logs")
            return
        self.lost[item.name] += 1
        if self.lost[item.name] == TRIES:
            self.finish(item, Outcome("failed", error=f"{item.source}: its worker ended, {TRIES} times"))
        else:
            self.journal.release(item)
            waiting.appendleft(item)

    def write(self, item: Item, outcome: Outcome, content: bytes | None) -> Outcome:
        """Write a result that a worker sent; return the outcome, of a failure where it cannot be written."""
        if content is None:
            return outcome
        try:
            with atomic_path(self.arguments.output / outcome.result) as temporary:
                temporary.write_bytes(content)
                keep_date(item.source, temporary)
                self.check(item, outcome.result)
        except FullDiskError:
            raise
        except (AutoDIRError, OSError) as error:
            return Outcome("failed", sha256=outcome.sha256, error=one_line(error))
        return outcome

    def check(self, item: Item, name: str) -> None:
        refuse_taken(self.journal, self.arguments.output, self.arguments.overwrite, item, name)

    def finish(self, item: Item, outcome: Outcome) -> None:
        note_outcome(self.journal, self.arguments.output, item, outcome)
        self.tell(item, outcome)


def pack(item: Item) -> Parcel:
    """Return what a worker needs of this machine's files."""
    content = None
    if isinstance(item.source, Path):
        check_source(item.source)
        content = item.source.read_bytes()
    return Parcel(item, content, item.mask and item.mask.read_bytes())


def worker_factory(arguments: argparse.Namespace) -> tuple[str, Callable[[], Any]]:
    """Return the resource that a worker takes one of, "GPU" or "CPU", and what begins a worker.

    Without `--device` it is a GPU where the cluster has some.
    """
    device = arguments.device or ("cuda" if ray.cluster_resources().get("GPU") else "cpu")
    own = argparse.Namespace(**vars(arguments) | {"device": "cuda" if device.startswith("cuda") else device})
    resource = "GPU" if own.device == "cuda" else "CPU"
    kind = ray.remote(Worker).options(num_cpus=1, num_gpus=1 if resource == "GPU" else 0, max_concurrency=IN_FLIGHT + 1)
    weights = ray.put(Path(own.model).read_bytes()) if own.model else None
    return resource, lambda: kind.remote(own, weights)
