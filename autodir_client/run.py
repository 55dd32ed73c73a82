"""Many photos through one workflow, shared by several servers; nothing that is done is lost or done twice."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autodir_core.errors import AutoDIRError, InputError

from .jobs import JobResult, PathLike, load_finished, plan_jobs, read_claims
from .messages import Update
from .server import Server, blocking, import_aiohttp
from .worker import JobQueue, Worker, WorkerConfig
from .workflow import Workflow, read_workflow


async def run_workflow_async(
    workflow: Workflow | PathLike,
    servers: str | Server | Sequence[str | Server],
    out: PathLike,
    *,
    inputs: Mapping[str, PathLike | Sequence[PathLike]] | None = None,
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    retry_timeout: float = 300.0,
    on_update: Callable[[Update], None] = lambda update: None,
) -> list[JobResult]:
    """Run a workflow once per photo and download every output; `run_workflow` waits for it.

    Args:
        workflow: a file in UI or API format, or a `Workflow`.
        servers: addresses such as "http://127.0.0.1:8188", or `Server`s with headers; they share the photos.
        out: folder for the outputs, created where it does not exist; photos whose outputs are there from the same
            workflow and settings are skipped.
        inputs: which photos or folders go to which node: its input's name ("image"), title or id -> photos.
        settings: "NODE.input" -> value, where NODE is an id, title or node type.
        overwrite: whether to repeat finished work.
        retry_timeout: seconds without a sign of life after which a server is given up.
        on_update: called with every change.

    Returns one result per photo, in their order; one that a server refused or failed on has an `error`.
    Raises InputError for what can be refused before the work, and AutoDIRError, with the reasons, when no server is
    left; what was finished is kept, and the same call continues from there.
    """
    workflow = workflow if isinstance(workflow, Workflow) else read_workflow(workflow)
    jobs = plan_jobs(workflow, inputs or {}, settings or {}, Path(out), overwrite=overwrite)
    results = {} if overwrite else {job.name: result for job in jobs if (result := load_finished(job)) is not None}
    for job in jobs:
        if job.name in results:
            on_update(Update("done", job.label, message="skipped, its outputs exist"))
    claimed = read_claims(Path(out)) | {os.path.normcase(job.record.name): job.record.name for job in jobs}
    queue = JobQueue(deque(job for job in jobs if job.name not in results), results, claimed=claimed)
    config = WorkerConfig(workflow, settings or {}, retry_timeout, on_update)
    if queue.pending:
        await run_workers(queue, config, [servers] if isinstance(servers, (str, Server)) else servers)
    return [queue.results[job.name] for job in jobs]


run_workflow = blocking(run_workflow_async)


async def run_workers(queue: JobQueue, config: WorkerConfig, servers: Sequence[str | Server]) -> None:
    """Let every server work until all jobs are done; AutoDIRError where some are left."""
    distinct = [one if isinstance(one, Server) else Server(one) for one in dict.fromkeys(servers)]
    workers = [Worker(server, queue, config) for server in distinct]
    if not workers:
        raise InputError("give at least one server, such as http://127.0.0.1:8188")
    import_aiohttp()  # where it is missing, one error and not one per server
    total = len(queue.pending)
    if len(workers) > 1:
        await asyncio.gather(*(worker.reserve() for worker in workers))
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        reasons = await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
    if left := len(queue.pending):
        why = "; ".join(filter(None, reasons))
        raise AutoDIRError(f"{left} of {total} left, no server can do them: {why}; then run the same again")
