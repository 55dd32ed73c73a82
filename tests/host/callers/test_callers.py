"""Our shared prompts through callers that are not ours: curl as docs/automation.md tells webhooks, and comfy-cli."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.host.conftest import number_of, pixels, prepared, saved_by_comfyui
from tests.host.server import ROOT, Server

pytestmark = pytest.mark.host

API = sorted((ROOT / "workflows/api").glob("*.json"))
QUICK = {"steps": 2, "labels": "noise, blur, rain", "width": 64, "height": 48}
RECIPE = re.compile(r"^## Webhook.*?^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def prompt(tmp_path: Path, workflow: Any) -> Path:
    path = tmp_path / "prompt.json"
    path.write_text(json.dumps(workflow("restore")), encoding="utf-8")
    return path


def call(command: list[str], folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def recipe() -> str:
    if not all(map(shutil.which, ("bash", "curl", "jq"))):
        pytest.skip("bash, curl or jq is not installed")
    (found,) = RECIPE.findall((ROOT / "docs/automation.md").read_text(encoding="utf-8"))
    return found


def test_the_recipe_for_webhooks(server: Server, prompt: Path, photo_path: Path, alone: Any, recipe: str) -> None:
    address = f"http://127.0.0.1:{server.port}"
    call(["bash", "-euc", recipe], prompt.parent, SERVER=address, PHOTO=str(photo_path), WORKFLOW=str(prompt))
    assert np.array_equal(pixels(prompt.parent / "restored.png"), saved_by_comfyui(alone["image"]))


def test_a_prompt_that_fails_ends_the_recipe(server: Server, prompt: Path, photo_path: Path, recipe: str) -> None:
    broken = json.loads(prompt.read_text(encoding="utf-8"))
    broken[number_of(broken, "AutoDIRRestore")]["inputs"]["labels"] = "fog"
    prompt.write_text(json.dumps(broken), encoding="utf-8")
    env = {"SERVER": f"http://127.0.0.1:{server.port}", "PHOTO": str(photo_path), "WORKFLOW": str(prompt)}
    with pytest.raises(AssertionError):
        call(["bash", "-euc", recipe], prompt.parent, **env)
    assert not (prompt.parent / "restored.png").exists()


def test_the_state_of_a_job(server: Server, workflow: Any) -> None:
    if '"/api/jobs/{job_id}"' not in (server.comfyui / "server.py").read_text(encoding="utf-8"):
        pytest.skip("this ComfyUI has no /api/jobs")
    number = server.queue(workflow("restore"))
    server.result(number)
    assert server.call(f"/api/jobs/{number}")["status"] == "completed"


@pytest.mark.parametrize("path", API, ids=lambda path: path.stem)
def test_comfy_cli_runs_them_all(server: Server, tmp_path: Path, path: Path) -> None:
    if not shutil.which("comfy"):
        pytest.skip("comfy-cli is not installed: pip install comfy-cli")
    prompt = tmp_path / path.name
    prompt.write_text(json.dumps(prepared(path, **QUICK)), encoding="utf-8")
    known = set(server.call("/history"))
    where = ["--workflow", str(prompt), "--wait", "--host", "127.0.0.1", "--port", str(server.port)]
    call(["comfy", "--skip-prompt", "run", *where, "--timeout", "120"], tmp_path, HOME=str(tmp_path), DO_NOT_TRACK="1")
    (entry,) = (entry for number, entry in server.call("/history").items() if number not in known)
    assert entry["status"]["status_str"] == "success"
    found = [server.file(image) for output in entry["outputs"].values() for image in output.get("images", ())]
    assert found and all(picture.is_file() for picture in found)
