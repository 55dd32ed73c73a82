"""Which tests one process of several has: those that share what takes long to start."""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling

COMFYUI = ("tests/host/", "tests/hardening/comfyui/")
TOGETHER = frozenset(
    {
        "tests/core/batch/test_ray_cluster.py",
        "tests/hardening/faults/test_kills.py",
        "tests/lab/cli/test_study.py",
    }
)
"""Files whose tests share a cluster, a process or a training."""


class Scheduling(LoadScopeScheduling):
    """Large groups first, then single tests, which fill what the groups leave.

    xdist's own groups need ids of tests that can be marked, which those of pytest 9 cannot.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """Return the group of a test: a ComfyUI, a file, or the test itself."""
    path, _, name = nodeid.partition("::")
    if path.startswith(COMFYUI):
        version = re.search(r"\[([\d.]+)", name)
        return f"ComfyUI {version[1] if version else ''}"
    return path if path in TOGETHER else nodeid
