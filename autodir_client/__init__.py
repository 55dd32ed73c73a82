"""A client for ComfyUI servers: many photos through one workflow, on one or several servers.

>>> from autodir_client import check_workflow, run_workflow
>>> check_workflow("restore.json", "http://127.0.0.1:8188").missing_requirements
()
>>> results = run_workflow("restore.json", ["http://127.0.0.1:8188"], "out", inputs={"image": "photos/"})

`Server` has the single calls, as coroutines: upload, queue_prompt, follow, download. Needs the package aiohttp.
"""

from __future__ import annotations

from .check import CheckResult, check_workflow, check_workflow_async, missing_requirements
from .errors import JobFailedError, MissingRequirementsError, OutputNotFoundError, ServerError, ServerUnavailableError
from .jobs import JobResult
from .messages import Output, PromptResult, Update
from .run import run_workflow, run_workflow_async
from .server import Server
from .workflow import Workflow, apply_settings, read_workflow

__all__ = ["run_workflow", "run_workflow_async", "check_workflow", "check_workflow_async", "missing_requirements"]
__all__ += ["Server", "Workflow", "read_workflow", "apply_settings"]
__all__ += ["CheckResult", "JobResult", "Update", "PromptResult", "Output"]
__all__ += [
    "ServerError",
    "ServerUnavailableError",
    "MissingRequirementsError",
    "JobFailedError",
    "OutputNotFoundError",
]
