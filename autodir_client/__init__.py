"""A client for ComfyUI servers: many photos through one workflow, on one or several servers.

>>> from autodir_client import check_workflow, run_workflow
>>> check_workflow("restore.json", "http://127.0.0.1:8188").lacks
()
>>> results = run_workflow("restore.json", ["http://127.0.0.1:8188"], "out", inputs={"image": "photos/"})

`Server` has the single calls, as coroutines: upload, queue, follow, fetch. Needs aiohttp (`pip install "aiohttp"`).
"""

from __future__ import annotations

from .check import Check, check_workflow, check_workflow_async, lacks
from .errors import FileGone, JobFailed, ServerAway, ServerError, ServerLacks
from .jobs import Result
from .progress import Update
from .run import run_workflow, run_workflow_async
from .server import Entry, Outcome, Server
from .workflow import Workflow, read_workflow, with_settings

__all__ = [
    "run_workflow",
    "run_workflow_async",
    "check_workflow",
    "check_workflow_async",
    "read_workflow",
    "with_settings",
    "lacks",
    "Server",
    "Workflow",
    "Check",
    "Result",
    "Update",
    "Outcome",
    "Entry",
    "ServerError",
    "ServerAway",
    "ServerLacks",
    "JobFailed",
    "FileGone",
]
