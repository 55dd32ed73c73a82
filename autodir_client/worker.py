"""The queue of jobs, and the workers that take from it: one per server, with retries."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from autodir_core.serialization.atomic import write_text

from .check import missing_requirements
from .definitions import Prompt
from .errors import JobFailedError, MissingRequirementsError, OutputNotFoundError, ServerError, ServerUnavailableError
from .jobs import Job, JobResult, output_names, photo_paths, write_record
from .messages import Output, Update
from .server import FOLDER, Server
from .workflow import Workflow, apply_settings, find_file_input

if TYPE_CHECKING:
    from .server import Events

T = TypeVar("T")

INITIAL_BACKOFF, MAX_BACKOFF = 0.5, 15.0
MAX_RETURNS = 20  # how often a server may be there again and fail in the middle of one job
MAX_ATTEMPTS = 4  # how often a prompt that a server loses is queued: it may be this prompt that ends the server


@dataclass(frozen=True)
class WorkerConfig:
    """What all workers have in common."""

    workflow: Workflow
    settings: Mapping[str, Any]
    retry_timeout: float
    on_update: Callable[[Update], None]


@dataclass
class JobQueue:
    """The jobs of all workers and their results.

    Attributes:
        pending: jobs that any server may take.
        results: job name -> result.
        reserved: server name -> jobs that an earlier run gave to it.
        in_flight: how many jobs are being worked on.
        claimed: names of files in the folder of the outputs -> the name of the record of the job that has them.
        changed: notified whenever a job ends or comes back.
    """

    pending: deque[Job]
    results: dict[str, JobResult]
    reserved: dict[str, deque[Job]] = field(default_factory=dict)
    in_flight: int = 0
    claimed: dict[str, str] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def reserve(self, server: str, prompt_ids: set[str]) -> None:
        """Set aside for a server the jobs whose prompts it has already."""
        own = [job for job in self.pending if job.prompt_id(0) in prompt_ids]
        self.reserved[server] = deque(own)
        self.pending = deque(job for job in self.pending if job not in own)

    async def take(self, server: str) -> Job | None:
        """Return the next job for a server, None when all are done; waits for those in flight, which may come back."""
        async with self.changed:
            while not (own := self.reserved.get(server) or self.pending):
                if not self.in_flight and not any(self.reserved.values()):
                    return None
                await self.changed.wait()
            self.in_flight += 1
            return own.popleft()

    def claim_names(self, job: Job, outputs: Sequence[Output], prompt: Prompt) -> list[str]:
        """Return the names of a job's outputs, which no file of another job has."""
        names = output_names(job, outputs, prompt, self.claimed)
        self.claimed |= {os.path.normcase(name): job.record.name for name in names}
        return names

    async def finish(self, job: Job, result: JobResult) -> None:
        async with self.changed:
            self.results[job.name] = result
            self.in_flight -= 1
            self.changed.notify_all()

    async def put_back(self, server: str, job: Job | None) -> None:
        """Return to the others what a server will not do."""
        async with self.changed:
            self.pending.extend([*([job] if job else []), *self.reserved.pop(server, ())])
            self.in_flight -= job is not None
            self.changed.notify_all()


@dataclass(frozen=True)
class PreparedWorkflow:
    """The workflow on one server: its prompt, and input name -> node and input that take the photo."""

    prompt: Prompt
    targets: Mapping[str, tuple[str, str]]

    def with_files(self, files: Mapping[str, str]) -> Prompt:
        """Return a copy of the prompt with uploaded files, given by input name."""
        changed = deepcopy(self.prompt)
        for name, (number, target) in self.targets.items():
            changed[number]["inputs"][target] = files[name]
        return changed


class Worker:
    """Works on jobs of the queue with one server."""

    def __init__(self, server: Server, queue: JobQueue, config: WorkerConfig) -> None:
        self.server, self.queue, self.config = server, queue, config
        self.prepared: PreparedWorkflow | None = None
        self.attempts: Counter[str] = Counter()  # prompt id -> how often this run queued it
        self.uploads: Counter[str] = Counter()  # prompt id -> how often this run began to upload its photos

    def notify(self, update: Update, job: Job | None = None) -> None:
        self.config.on_update(replace(update, server=self.server.name, job=job.label if job else ""))

    async def reserve(self) -> None:
        """Reserve what an earlier run gave to this server; one that does not answer at once has nothing to reserve."""
        async with self.server:
            try:
                self.queue.reserve(self.server.name, await self.server.prompt_ids())
            except ServerUnavailableError:
                return
            except ServerError as error:
                self.notify(Update("dropped", message=str(error)))

    async def run(self) -> str:
        """Work until no job is left; return the reason where the server was given up before, else ""."""
        job = None
        async with self.server:
            try:
                while (job := await self.queue.take(self.server.name)) is not None:
                    await self.queue.finish(job, await self.run_job(job))
            except ServerError as error:
                self.notify(Update("dropped", message=str(error)))
                await self.queue.put_back(self.server.name, job)
                return str(error)
        return ""

    async def run_job(self, job: Job) -> JobResult:
        """Return the result of a job; ServerError where this server cannot do it."""
        try:
            result = await self.retry(lambda: self.attempt(job), job)
        except JobFailedError as error:
            self.notify(Update("failed", message=str(error)), job)
            return JobResult(job.name, photo_paths(job), server=self.server.name, error=str(error))
        self.notify(Update("done", message=", ".join(map(str, result.files))), job)
        return result

    async def retry(self, action: Callable[[], Awaitable[T]], job: Job) -> T:
        """Return the result of an action, repeated while the server is unavailable until `retry_timeout` is over.

        A server that is there again each time, only to fail in the middle, is given up after `MAX_RETURNS`.
        """
        pause, start, timeout = INITIAL_BACKOFF, monotonic(), self.config.retry_timeout
        returns = 0
        while True:
            try:
                return await action()
            except ServerUnavailableError as error:
                self.prepared = None  # it may come back as another version
                if self.server.last_answer > start:
                    pause, start, returns = INITIAL_BACKOFF, self.server.last_answer, returns + 1
                waited = monotonic() - start
                if waited >= timeout:
                    raise ServerError(f"{error} for {timeout:g} s: start it") from error
                if returns > MAX_RETURNS:
                    raise ServerError(f"{error}, for the {returns}th time in one job; see its log") from error
                self.notify(Update("unavailable", message=f"{error}; retrying for {timeout - waited:.0f} s"), job)
                await asyncio.sleep(min(pause, timeout - waited))
                pause = min(2 * pause, MAX_BACKOFF)

    async def attempt(self, job: Job) -> JobResult:
        """Bring a job from whatever the server knows of it to its outputs."""
        if self.prepared is None:
            self.prepared = await self.prepare(job)
        async with self.server.events() as events:
            number = 0
            while True:
                prompt_id = job.prompt_id(number)
                outputs = await self.wait_for_outputs(job, self.prepared, prompt_id, events)
                if outputs is not None:
                    try:
                        return await self.download(job, self.prepared.prompt, prompt_id, outputs)
                    except OutputNotFoundError as error:
                        if self.attempts[prompt_id]:
                            raise JobFailedError(f"{error}; restart that server, then run the same again") from error
                number += 1

    async def prepare(self, job: Job) -> PreparedWorkflow:
        """Convert the workflow for this server; MissingRequirementsError where it cannot run there."""
        definitions = await self.server.definitions()
        prompt = apply_settings(self.config.workflow.prompt(definitions), self.config.settings, definitions)
        prepared = PreparedWorkflow(prompt, {name: find_file_input(prompt, name, definitions) for name in job.photos})
        with_photos = prepared.with_files({name: f"{FOLDER}/{photo.upload_name}" for name, photo in job.photos.items()})
        version = await self.server.version()
        missing = missing_requirements(with_photos, definitions, version, self.config.workflow)
        if missing:
            raise MissingRequirementsError(f"{self.server.name} cannot run the workflow: {'; '.join(missing)}")
        return prepared

    async def wait_for_outputs(
        self, job: Job, prepared: PreparedWorkflow, prompt_id: str, events: Events
    ) -> tuple[Output, ...] | None:
        """Return the outputs of a prompt; None where it failed in an earlier run, which a new id tells apart."""
        while True:
            on_update = partial(self.notify, job=job)
            result = await self.server.follow(prompt_id, events, on_update, prepared.prompt)
            if result is None:
                await self.submit(job, prepared, prompt_id)
            elif not result.error:
                return result.outputs
            elif self.attempts[prompt_id]:
                raise JobFailedError(result.error)
            else:
                return None

    async def submit(self, job: Job, prepared: PreparedWorkflow, prompt_id: str) -> None:
        """Upload the photos and queue the prompt; JobFailedError after `MAX_ATTEMPTS`."""
        if self.attempts[prompt_id] == MAX_ATTEMPTS:
            times = f"{MAX_ATTEMPTS} times"
            raise JobFailedError(f"{self.server.name} lost it {times}; does it end the server? See its log")
        if self.uploads[prompt_id] - self.attempts[prompt_id] == MAX_ATTEMPTS:
            times = f"{MAX_ATTEMPTS} times"
            raise JobFailedError(f"{self.server.name} broke off its upload {times}; does a proxy limit the size?")
        self.uploads[prompt_id] += 1
        self.notify(Update("uploading"), job)
        uploaded = {name: await self.server.upload(photo.path, photo.upload_name) for name, photo in job.photos.items()}
        self.attempts[prompt_id] += 1
        await self.server.queue_prompt(prepared.with_files(uploaded), prompt_id)

    async def download(self, job: Job, prompt: Prompt, prompt_id: str, outputs: Sequence[Output]) -> JobResult:
        """Write every output into the folder of the job, and the record last."""
        self.notify(Update("downloading"), job)
        outputs = sorted(outputs, key=lambda output: list(prompt).index(output.node) if output.node in prompt else -1)
        paths = [job.folder / name for name in self.queue.claim_names(job, outputs, prompt)]
        for output, path in zip(outputs, paths, strict=True):
            if output.file is not None:
                await self.server.download(output.file, path)
            else:
                write_text(path, output.text + "\n")
        result = JobResult(job.name, photo_paths(job), tuple(paths), self.server.name)
        write_record(job, result, prompt_id)
        return result
