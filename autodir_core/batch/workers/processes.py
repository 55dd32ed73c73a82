"""Processes: one for each device of this machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from ...errors import AutoDIRError

POLL, REST, PATIENCE = 0.2, 20, 20.0
"""Seconds between two looks at how far the work is, and how many times as long as a look takes, at least; seconds that
processes have, once one of them is to end, for what is at work."""


def run_processes(work: Callable[[str], None], devices: Sequence[str], on_poll: Callable[[], None]) -> None:
    """Call `work` with each device in a process of its own, and `on_poll` again and again while they work.

    Args:
        work: a function that can be pickled; its process exits with 0 where it did all it could.
        devices: names of them.
        on_poll: shows how far the work is.

    AutoDIRError where a process ends otherwise, once all have ended.
    """
    context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
    processes = [context.Process(target=work, args=(device,), name=device) for device in devices]
    try:
        for process in processes:
            process.start()
        while alive := [process.sentinel for process in processes if process.is_alive()]:
            start = time.monotonic()
            on_poll()
            wait(alive, max(POLL, REST * (time.monotonic() - start)))
    finally:
        end(processes)
    check_ends(processes)


def end_with_parent() -> None:
    """Let this process end as soon as the one that began it has: of a killed one nobody would hear."""
    if parent := multiprocessing.parent_process():
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def check_ends(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        if process.exitcode:
            raise AutoDIRError(
                f"the process on {process.name} ended with {process.exitcode}; run the same command again to go on"
            )


def end(processes: Sequence[BaseProcess]) -> None:
    """Wait for processes that were interrupted as this one was, then end those that are left."""
    limit = time.monotonic() + PATIENCE
    for process in processes:
        if process.pid is not None:
            process.join(max(limit - time.monotonic(), 0))
            process.terminate()
            process.join()
