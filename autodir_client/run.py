"""Many photos through one workflow, shared by several servers; nothing that is done is lost or done twice."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from autodir_core.errors import AutoDIRError, InputError
from autodir_core.imaging.paths import atomic_path

from .check import lacks
from .definitions import Prompt
from .errors import FileGone, JobFailed, ServerAway, ServerError, ServerLacks
from .jobs import Job, PathLike, Result, done_before, output_names, paths_of, plan_jobs, write_record
from .progress import Update
from .server import FOLDER, Entry, Server, library
from .workflow import Workflow, find_file_input, read_workflow, with_settings

if TYPE_CHECKING:
    from .server import Events

T = TypeVar("T")

PATIENCE_SECONDS = 300.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
MOST_TRIES = 4  # how often a prompt that a server loses is queued: it may be this prompt that ends the server


def ignore(update: Update) -> None:
    """The listener of whoever does not listen."""


def run_workflow(
    workflow: Workflow | PathLike,
    servers: str | Sequence[str],
    out: PathLike,
    *,
    inputs: Mapping[str, PathLike | Sequence[PathLike]] | None = None,
    settings: Mapping[str, Any] | None = None,
    again: bool = False,
    patience: float = PATIENCE_SECONDS,
    on_update: Callable[[Update], None] = ignore,
) -> list[Result]:
    """Run a workflow once per photo and fetch every output; where a loop runs already, see `run_workflow_async`.

    Args:
        workflow: a file in UI or API format, or a `Workflow`.
        servers: addresses such as "http://127.0.0.1:8188"; they share the photos.
        out: folder for the outputs; it is made. Photos whose outputs are there from the same work are skipped.
        inputs: which photos or folders go to which node: its input's name ("image"), title or id -> photos.
        settings: "NODE.input" -> value, where NODE is an id, title or node type.
        again: whether to redo what is done.
        patience: seconds without a sign of life after which a server is given up.
        on_update: called with every change.

    Returns one result per photo, in their order; one that a server refused or failed on has an `error`.
    Raises InputError for what can be refused before the work, and AutoDIRError, naming the reasons, when no server is
    left; what was finished stays, and the same call goes on from there.
    """
    running = run_workflow_async(
        workflow,
        servers,
        out,
        inputs=inputs,
        settings=settings,
        again=again,
        patience=patience,
        on_update=on_update,
    )
    return asyncio.run(running)


async def run_workflow_async(
    workflow: Workflow | PathLike,
    servers: str | Sequence[str],
    out: PathLike,
    *,
    inputs: Mapping[str, PathLike | Sequence[PathLike]] | None = None,
    settings: Mapping[str, Any] | None = None,
    again: bool = False,
    patience: float = PATIENCE_SECONDS,
    on_update: Callable[[Update], None] = ignore,
) -> list[Result]:
    """`run_workflow` as a coroutine."""
    workflow = workflow if isinstance(workflow, Workflow) else read_workflow(workflow)
    jobs = plan_jobs(workflow, inputs or {}, settings or {}, Path(out), again=again)
    before = {} if again else {job.name: done for job in jobs if (done := done_before(job)) is not None}
    work = Work(deque(job for job in jobs if job.name not in before), results=before)
    for job in jobs:
        if job.name in before:
            on_update(Update("done", job.label, message="skipped, its outputs exist"))
    task = Task(workflow, settings or {}, patience, on_update)
    if work.waiting:
        await share(work, task, [servers] if isinstance(servers, str) else servers)
    return [work.results[job.name] for job in jobs]


@dataclass(frozen=True)
class Task:
    """What all workers have in common."""

    workflow: Workflow
    settings: Mapping[str, Any]
    patience: float
    on_update: Callable[[Update], None]


@dataclass
class Work:
    """The jobs of all workers, and what came of them.

    Attributes:
        waiting: jobs that any server may take.
        claimed: server name -> jobs that it was given by an earlier run.
        busy: how many are being worked on.
        results: job name -> result.
        changed: told whenever a job ends or comes back.
    """

    waiting: deque[Job]
    results: dict[str, Result]
    claimed: dict[str, deque[Job]] = field(default_factory=dict)
    busy: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def claim(self, server: str, ids: set[str]) -> None:
        """Keep for a server what it has already."""
        own = [job for job in self.waiting if job.prompt_id(0) in ids]
        self.claimed[server] = deque(own)
        self.waiting = deque(job for job in self.waiting if job not in own)

    async def take(self, server: str) -> Job | None:
        """The next job for a server; None when all are done. While others work it waits: theirs may come back."""
        async with self.changed:
            while not (own := self.claimed.get(server) or self.waiting):
                if not self.busy and not any(self.claimed.values()):
                    return None
                await self.changed.wait()
            self.busy += 1
            return own.popleft()

    async def finish(self, job: Job, result: Result) -> None:
        async with self.changed:
            self.results[job.name] = result
            self.busy -= 1
            self.changed.notify_all()

    async def leave(self, server: str, job: Job | None) -> None:
        """Give back what a server will not do."""
        async with self.changed:
            self.waiting.extend([*([job] if job else []), *self.claimed.pop(server, ())])
            self.busy -= job is not None
            self.changed.notify_all()


async def share(work: Work, task: Task, addresses: Sequence[str]) -> None:
    """Let every server work until all jobs are done; AutoDIRError where some are left."""
    workers = [Worker(Server(address), work, task) for address in dict.fromkeys(addresses)]
    if not workers:
        raise InputError("give at least one server, such as http://127.0.0.1:8188")
    library()
    total = len(work.waiting)
    if len(workers) > 1:
        await asyncio.gather(*(worker.claim() for worker in workers))
    running = [asyncio.create_task(worker.work_through()) for worker in workers]
    try:
        reasons = await asyncio.gather(*running)
    finally:
        for one in running:
            one.cancel()
    if left := len(work.waiting):
        told = "; ".join(filter(None, reasons))
        raise AutoDIRError(f"{left} of {total} left, no server can do them: {told}; then run the same again")


@dataclass(frozen=True)
class Ready:
    """The workflow on one server: its prompt, and for every input's name the node and the input that take the photo."""

    prompt: Prompt
    targets: Mapping[str, tuple[str, str]]

    def with_files(self, files: Mapping[str, str]) -> Prompt:
        """A copy with the uploaded files, given by input name, in their places."""
        changed = deepcopy(self.prompt)
        for name, (number, taker) in self.targets.items():
            changed[number]["inputs"][taker] = files[name]
        return changed


class Worker:
    """One server at work."""

    def __init__(self, server: Server, work: Work, task: Task) -> None:
        self.server, self.work, self.task = server, work, task
        self.ready: Ready | None = None
        self.posts: Counter[str] = Counter()  # prompt id -> how often this run queued it

    def tell(self, update: Update, job: Job | None = None) -> None:
        self.task.on_update(replace(update, server=self.server.name, job=job.label if job else ""))

    async def claim(self) -> None:
        """Find what an earlier run gave to this server; one that does not answer at once has nothing to claim."""
        async with self.server:
            try:
                self.work.claim(self.server.name, await self.server.prompt_ids())
            except ServerAway:
                return
            except ServerError as error:
                self.tell(Update("left out", message=str(error)))

    async def work_through(self) -> str:
        """Do jobs until none is left; the reason where the server was given up before."""
        job = None
        async with self.server:
            try:
                while (job := await self.work.take(self.server.name)) is not None:
                    await self.work.finish(job, await self.result(job))
            except ServerError as error:
                self.tell(Update("left out", message=str(error)))
                await self.work.leave(self.server.name, job)
                return str(error)
        return ""

    async def result(self, job: Job) -> Result:
        """What comes of a job; ServerError where this server cannot do it."""
        try:
            result = await self.patiently(lambda: self.attempt(job), job)
        except JobFailed as error:
            self.tell(Update("failed", message=str(error)), job)
            return Result(job.name, paths_of(job), server=self.server.name, error=str(error))
        self.tell(Update("done", message=", ".join(map(str, result.files))), job)
        return result

    async def patiently(self, action: Callable[[], Awaitable[T]], job: Job) -> T:
        """The result of an action that is tried anew while the server is away, for as long as patience lasts."""
        pause, begun = FIRST_PAUSE_SECONDS, monotonic()
        while True:
            try:
                return await action()
            except ServerAway as error:
                self.ready = None  # it may come back as another version
                if self.server.last_answer > begun:
                    pause, begun = FIRST_PAUSE_SECONDS, self.server.last_answer
                waited = monotonic() - begun
                if waited >= self.task.patience:
                    raise ServerError(f"{error} for {self.task.patience:g} s: start it") from error
                self.tell(Update("away", message=f"{error}; trying again for {self.task.patience - waited:.0f} s"), job)
                await asyncio.sleep(min(pause, self.task.patience - waited))
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def attempt(self, job: Job) -> Result:
        """One try from whatever the server knows of the job to its outputs."""
        if self.ready is None:
            self.ready = await self.prepare(job)
        async with self.server.events() as events:
            number = 0
            while True:
                prompt_id = job.prompt_id(number)
                entries = await self.entries(job, self.ready, prompt_id, events)
                if entries is not None:
                    try:
                        return await self.fetch(job, self.ready.prompt, prompt_id, entries)
                    except FileGone as error:
                        if self.posts[prompt_id]:
                            raise JobFailed(f"{error}; restart that server, then run the same again") from error
                number += 1

    async def prepare(self, job: Job) -> Ready:
        """What the workflow is on this server; ServerLacks where it cannot run there."""
        definitions = await self.server.definitions()
        prompt = with_settings(self.task.workflow.prompt(definitions), self.task.settings, definitions)
        targets = {name: find_file_input(prompt, name, definitions) for name in job.photos}
        ready = Ready(prompt, targets)
        bound = ready.with_files({name: f"{FOLDER}/{photo.upload_name}" for name, photo in job.photos.items()})
        found = lacks(bound, definitions, await self.server.version(), self.task.workflow)
        if found:
            raise ServerLacks(f"{self.server.name} cannot run the workflow: {'; '.join(found)}")
        return ready

    async def entries(self, job: Job, ready: Ready, prompt_id: str, events: Events) -> tuple[Entry, ...] | None:
        """What the prompt gives; None where it failed in an earlier run, which a new id will tell apart."""
        while True:
            outcome = await self.server.follow(prompt_id, events, lambda update: self.tell(update, job), ready.prompt)
            if outcome is None:
                await self.post(job, ready, prompt_id)
            elif not outcome.error:
                return outcome.entries
            elif self.posts[prompt_id]:
                raise JobFailed(outcome.error)
            else:
                return None

    async def post(self, job: Job, ready: Ready, prompt_id: str) -> None:
        """Upload the photos and queue the prompt; JobFailed after too many times."""
        if self.posts[prompt_id] == MOST_TRIES:
            raise JobFailed(f"{self.server.name} lost it {MOST_TRIES} times; does it end the server? See its log")
        self.tell(Update("sending"), job)
        uploaded = {name: await self.server.upload(photo.path, photo.upload_name) for name, photo in job.photos.items()}
        self.posts[prompt_id] += 1
        await self.server.queue(ready.with_files(uploaded), prompt_id)

    async def fetch(self, job: Job, prompt: Prompt, prompt_id: str, entries: Sequence[Entry]) -> Result:
        """Bring every output home, and write the record last."""
        self.tell(Update("fetching"), job)
        entries = sorted(entries, key=lambda entry: list(prompt).index(entry.node) if entry.node in prompt else -1)
        paths = [job.folder / name for name in output_names(job, entries, prompt)]
        for entry, path in zip(entries, paths, strict=True):
            if entry.file is not None:
                await self.server.fetch(entry.file, path)
            else:
                with atomic_path(path) as temporary:
                    temporary.write_text(entry.text + "\n", encoding="utf-8")
        result = Result(job.name, paths_of(job), tuple(paths), self.server.name)
        write_record(job, result, prompt_id)
        return result
