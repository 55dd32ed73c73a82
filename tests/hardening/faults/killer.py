"""Runs commands in children of one process that has imported everything, and kills them.

`python -m tests.hardening.faults.killer` reads lines of JSON, {"argv": [...], "seconds": number or null, "log": path},
and answers each with {"rc": exit code, -9 where it was killed, "seconds": how long it ran}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress

from autodir_core.cli import main


def warm_up() -> None:
    """Import what the commands need, so that a child is at work at once."""
    import matplotlib.pyplot  # noqa: F401

    import autodir_lab.training.run  # noqa: F401
    from autodir_core.model import load_autodir

    load_autodir(device="cpu").embed_text(["warm"])


def run_child(argv: list[str], log: str) -> None:
    """Run a command in this child and end it."""
    with open(log, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    code = 70
    try:
        code = main(argv)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve(argv: list[str], seconds: float | None, log: str) -> dict[str, float]:
    """Run a command, for so many seconds at most, and all that it has started with it."""
    start = time.monotonic()
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        run_child(argv, log)
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if seconds is not None and time.monotonic() - start >= seconds:
            for kill in (os.kill, os.killpg):
                with suppress(ProcessLookupError):  # it has ended by itself, or is no group yet
                    kill(child, signal.SIGKILL)
            seconds = None
        time.sleep(0.005)
    return {"rc": os.waitstatus_to_exitcode(ended[1]), "seconds": time.monotonic() - start}


if __name__ == "__main__":
    warm_up()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(**json.loads(line))), flush=True)
