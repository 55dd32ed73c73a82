"""What the registry publishes, alone in a fresh ComfyUI: every shared workflow, with the embedded model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from autodir_client import read_workflow
from tests.host.server import ROOT, Server

pytestmark = pytest.mark.host

SHIPPED = sorted((ROOT / "workflows").glob("*.json"))
QUICK = {"preset": "custom", "steps": 1, "max_rounds": 2}
"""Values that shorten the runs, for whatever node has an input of that name."""

COMPLAINT = re.compile(r"warn|error|exception|traceback|deprecat|failed", re.IGNORECASE)


@pytest.fixture(scope="module")
def fresh(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with nothing but the archive: no model, no picture, no other node file."""
    running = Server(comfyui, tmp_path_factory.mktemp("published") / "base", nodes=())
    yield running
    running.stop()


def test_every_workflow_runs_and_the_log_has_no_complaint(fresh: Server) -> None:
    definitions, before = fresh.call("/object_info"), len(fresh.log())
    assert not [line for line in fresh.log().splitlines() if "autodir" in line.lower() and COMPLAINT.search(line)]
    for path in SHIPPED:
        prompt = read_workflow(path).prompt(definitions)
        for node in prompt.values():
            node["inputs"] |= {key: value for key, value in QUICK.items() if key in node["inputs"]}
        pictures = [image for output in fresh.run(prompt).values() for image in output.get("images", ())]
        assert pictures and all(fresh.file(picture).is_file() for picture in pictures), path.name
        print(f"{path.name}: {len(prompt)} nodes, {len(pictures)} pictures")
    assert not [line for line in fresh.log()[before:].splitlines() if COMPLAINT.search(line)]
