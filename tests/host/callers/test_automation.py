"""The client against a real ComfyUI: both formats, progress, check, a server that is killed in the middle."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from autodir_client import Update, check_workflow, read_workflow, run_workflow
from autodir_core.cli import main
from tests.host.conftest import ROUNDS, SEED, STEPS, completed, pixels, saved_by_comfyui
from tests.host.server import ROOT, Server, environment

pytestmark = pytest.mark.host

SETTINGS = {
    "AutoDIRLoadModel.file": "tiny.safetensors",
    "AutoDIR Restore.preset": "custom",
    "AutoDIR Restore.steps": str(STEPS),
    "AutoDIR Restore.seed": SEED,
    "AutoDIR Restore.max_rounds": ROUNDS,
}
OUTPUTS = ["autodir_restore.png", "autodir_restore.txt", "comfy.json", "report.txt", "restored.png", "rounds.png"]


@pytest.fixture
def photo(tmp_path, photo_path) -> Path:
    """The small picture under a name that the server does not know."""
    return Path(shutil.copy(photo_path, tmp_path / "Mein Foto.png"))


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def executed(server: Server) -> int:
    """How many prompts the running server has done."""
    return len(server.call("/history"))


@pytest.mark.parametrize("file", ["workflows/restore.json", "workflows/api/restore.json"])
def test_a_photo_comes_back_as_the_core_restores_it(server, alone, photo, tmp_path, file):
    updates: list[Update] = []
    out, before = tmp_path / "out", executed(server)
    options = {"inputs": {"image": photo}, "settings": SETTINGS, "on_update": updates.append}
    (result,) = run_workflow(ROOT / file, url(server), out, **options)
    assert sorted(path.name for path in out.iterdir()) == [f"Mein Foto_{name}" for name in OUTPUTS]
    assert np.array_equal(pixels(out / "Mein Foto_restored.png"), saved_by_comfyui(alone["image"]))
    assert "round 1" in (out / "Mein Foto_report.txt").read_text(encoding="utf-8")
    assert not result.error and executed(server) == before + 1
    parts = [
        part
        for node, (part, total) in ((u.node, u.step) for u in updates)
        if (node, total) == ("AutoDIR Restore", 1000)
    ]
    # none where it was cached; one bar over all rounds, and the last report brings the montage
    assert not parts or (parts == sorted(parts) and parts[-2:] == [1000, 1000] and len(set(parts)) > STEPS)
    (again,) = run_workflow(ROOT / file, url(server), out, **options)
    assert again.skipped and executed(server) == before + 1


def test_both_formats_are_one_prompt(server):
    definitions = server.call("/object_info")
    for saved in sorted((ROOT / "workflows").glob("*.json")):
        both = [read_workflow(path).prompt(definitions) for path in (saved, saved.parent / "api" / saved.name)]
        for prompt in both:
            for node in prompt.values():
                del node["_meta"]  # the page translates titles
        assert both[0] == completed(both[1], definitions), saved.name


def test_check(server, capsys):
    path = str(ROOT / "workflows/restore.json")
    assert main(["comfy", "check", path, "--server", url(server)]) == 0
    assert "photos can be given to: 1 (Load Image) image" in capsys.readouterr().out
    seen = check_workflow(path, url(server), settings={"AutoDIRLoadModel.file": "big.ckpt", "3.seed": -1})
    file, seed = seen.missing_requirements
    assert file.startswith("node 2 (AutoDIR Load Model): file = 'big.ckpt' is not on the server; it has: ")
    assert seed.startswith("node 3 (AutoDIR Restore): seed = -1 is outside 0..")


def test_an_error_of_a_node_is_told(server, photo, tmp_path):
    settings = {**SETTINGS, "3.labels": "fog"}
    (result,) = run_workflow(
        ROOT / "workflows/restore.json", url(server), tmp_path / "out", inputs={"1": photo}, settings=settings
    )
    assert result.error.startswith("node 3 (AutoDIRRestore) failed: unknown label 'fog'; this model knows")


@pytest.fixture
def mortal(comfyui, tmp_path, tiny_path) -> Iterator[Server]:
    """A server of its own, which a test may kill."""
    (tmp_path / "base/models/autodir").mkdir(parents=True)
    shutil.copy(tiny_path, tmp_path / "base/models/autodir")
    running = Server(comfyui, tmp_path / "base")
    yield running
    running.stop()


def restart(server: Server) -> None:
    """Kill the process, lose what was uploaded, and start it again at the same address."""
    server.process.kill()
    server.process.wait()
    shutil.rmtree(server.base / "input")
    with server.log_path.open("wb") as log:
        server.process = subprocess.Popen(
            server.process.args, cwd=server.comfyui, stdout=log, stderr=log, env=environment()
        )
    server.wait_until_ready()


def test_a_server_that_is_killed_in_the_middle(mortal, photo, tmp_path):
    other = Path(shutil.copy(ROOT / "autodir_core/assets/sample.png", tmp_path / "other.png"))
    helpers: list[threading.Thread] = []
    updates: list[Update] = []

    def kill_once(update: Update) -> None:
        updates.append(update)
        if update.job == "other.png" and update.step[1] == 1000 and 60 < update.step[0] < 900 and not helpers:
            helpers.append(threading.Thread(target=restart, args=[mortal]))
            helpers[0].start()

    results = run_workflow(
        ROOT / "workflows/restore.json",
        url(mortal),
        tmp_path / "out",
        inputs={"image": [photo, other]},
        settings={**SETTINGS, "AutoDIR Restore.steps": 15},
        retry_timeout=180,
        on_update=kill_once,
    )
    helpers[0].join()
    assert [result.error for result in results] == ["", ""]
    assert all(path.stat().st_size for result in results for path in result.files)
    stages = [(update.job, update.stage) for update in updates if update.stage in ("uploading", "unavailable", "done")]
    assert [stage for stage, _ in groupby(stages)] == [
        *(("Mein Foto.png", stage) for stage in ("uploading", "done")),
        *(("other.png", stage) for stage in ("uploading", "unavailable", "uploading", "done")),
    ]
    assert executed(mortal) == 1  # of the new process: what was done before is not done again
