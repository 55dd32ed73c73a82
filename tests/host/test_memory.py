"""Models that drive each other out of the GPU: ComfyUI's own memory management, at work on the CPU.

ComfyUI refuses `--novram` and `--lowvram` beside `--cpu`, so a node file puts the CPU in the place of a GPU. All of the
management runs then, but moves nothing: for that the weights end up on another device, it takes a GPU.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.host.conftest import SEED, StartServer, number_of, pixels, saved_by_comfyui
from tests.host.server import Server, error_of

pytestmark = pytest.mark.host

MANAGED = """
import gc
import weakref

import comfy.model_management as management
import torch
from aiohttp import web
from comfy.model_patcher import ModelPatcher
from server import PromptServer

ours, init = weakref.WeakSet(), ModelPatcher.__init__


def watch(self, model, *arguments, **keywords):
    init(self, model, *arguments, **keywords)
    if type(model).__name__ == "AutoDIRNetwork":
        ours.add(model)


ModelPatcher.__init__ = watch


@PromptServer.instance.routes.get("/loaded")
async def loaded(request):
    gc.collect()  # networks refer to themselves in circles
    return web.json_response({"loaded": len(management.current_loaded_models), "alive": len(ours)})


gpu = torch.device("cpu", 0)  # not equal to torch.device("cpu"), where ComfyUI keeps idle models
as_it_is = management.get_torch_device, management.is_device_cpu, management.vram_state, False
crowded = lambda: gpu, lambda device: device != gpu


@PromptServer.instance.routes.get("/crowd/{state}")
async def crowd(request):
    state, manage = request.match_info["state"], as_it_is
    if state != "none":
        manage = *crowded, management.VRAMState[state], True  # whatever is loaded drives out everything else
    management.get_torch_device, management.is_device_cpu = manage[:2]
    management.vram_state, management.DISABLE_SMART_MEMORY = manage[2:]
    return web.json_response(state)


NODE_CLASS_MAPPINGS = {}
"""
"""Tells how many networks are loaded, and how many of ours are still objects; puts a GPU there, or takes it away."""
LOADED = "Requested to load AutoDIRNetwork"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, start_server: StartServer) -> Iterator[Server]:
    """A server that keeps models loaded, as far as they fit, and tells how many."""
    node_file = tmp_path_factory.mktemp("managed") / "managed.py"
    node_file.write_text(MANAGED, encoding="utf-8")
    with start_server(node_file) as running:
        yield running


@pytest.fixture(scope="module", params=["NO_VRAM", "LOW_VRAM"])
def crowded(request: pytest.FixtureRequest, watched: Server) -> Iterator[Server]:
    """The same server, in which one model at a time is loaded."""
    assert watched.call(f"/crowd/{request.param}") == request.param
    yield watched
    watched.call("/crowd/none")


def with_a_second_model(prompt: dict[str, Any]) -> dict[str, Any]:
    """Two models in one graph: the second, in another precision, restores the same picture."""
    load, restore, save = (number_of(prompt, name) for name in ("AutoDIRLoadModel", "AutoDIRRestore", "SaveImage"))
    prompt[load]["inputs"]["precision"] = "float32"
    second = {
        "load": {**prompt[load], "inputs": {**prompt[load]["inputs"], "precision": "bfloat16"}},
        "restore": {**prompt[restore], "inputs": {**prompt[restore]["inputs"], "model": ["load", 0]}},
        "save": {**prompt[save], "inputs": {**prompt[save]["inputs"], "images": ["restore", 0]}},
    }
    return {**prompt, **second}


def saved(server: Server, prompt: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What the first and the second model made."""
    outputs = server.run(prompt)
    first = next(number for number in prompt if number != "save" and prompt[number]["class_type"] == "SaveImage")
    (one,), (two,) = (outputs[number]["images"] for number in (first, "save"))
    return pixels(server.file(one)), pixels(server.file(two))


def freed(server: Server, expected: dict[str, int], **what: bool) -> dict[str, int]:
    """What is left, a minute at most after the server was asked to free something as ComfyUI's own button does.

    ComfyUI's worker hears of it only while it waits for prompts, so the button is pressed again now and then.
    """
    end = time.monotonic() + 60
    while time.monotonic() < end:
        server.call("/free", what)
        for _ in range(4):
            if (left := server.call("/loaded")) == expected:
                return left
            time.sleep(0.25)
    return server.call("/loaded")


def test_nothing_stays_after_all_models_are_unloaded(watched, workflow):
    idle, gone = {"loaded": 0, "alive": 8}, {"loaded": 0, "alive": 0}
    watched.run(with_a_second_model(workflow("restore")))
    assert watched.call("/loaded") == {"loaded": 8, "alive": 8}, "four networks each"
    assert freed(watched, idle, unload_models=True) == idle, "the cache holds both for the next run"
    assert freed(watched, gone, unload_models=True, free_memory=True) == gone


def test_models_that_take_turns_give_the_same_bits(crowded, server, workflow, alone):
    prompt = with_a_second_model(workflow("restore"))
    first, second = saved(crowded, prompt)
    assert np.array_equal(first, saved_by_comfyui(alone["image"]))
    assert np.array_equal(second, saved(server, prompt)[1])
    assert not np.array_equal(first, second)


def test_a_model_that_was_driven_out_is_not_read_again(crowded, server, workflow):
    prompt, another = (with_a_second_model(workflow("restore", seed=seed)) for seed in (SEED + 1, SEED + 2))
    saved(crowded, prompt)
    loads = crowded.log().count(LOADED)
    weights = crowded.base / "models/autodir/tiny.safetensors"
    with unreadable(weights):
        found = saved(crowded, another)
    assert all(map(np.array_equal, found, saved(server, another)))
    assert crowded.log().count(LOADED) >= loads + 8, "all of both were driven out and came back"


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Other bytes under the same name and date: only who reads the file can tell."""
    kept, stat = path.with_suffix(".kept"), path.stat()
    path.rename(kept)
    path.write_bytes(b"no tensors here")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    yield
    os.replace(kept, path)


def test_a_file_that_is_gone_is_named(crowded, workflow):
    weights = crowded.base / "models/autodir/gone.safetensors"
    shutil.copy(crowded.base / "models/autodir/tiny.safetensors", weights)
    prompt = workflow("restore", file="gone.safetensors", precision="float32")
    crowded.run(prompt)
    weights.unlink()
    with pytest.raises(AssertionError, match=r"gone\.safetensors"):
        crowded.queue(workflow("restore", file="gone.safetensors", precision="float32", seed=SEED + 3))
    done = crowded.result(crowded.queue(workflow("restore", precision="float32")))
    assert done["status"]["status_str"] == "success", error_of(done)


def resident_megabytes(server: Server) -> float:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="/proc tells how much memory a process holds")
def test_many_runs_leave_memory_flat(crowded, workflow, request):
    """The embedded model, and in each run another one that drives it out and is driven out again."""
    runs, held = request.config.getoption("--memory-runs"), []
    for seed in range(runs):
        quick = {"seed": seed, "steps": 1, "max_rounds": 1, "labels": "noise"}
        prompt = with_a_second_model(workflow("restore", file="autodir-mini (embedded)", **quick))
        prompt["load"]["inputs"] |= {"file": "tiny.safetensors", "precision": "float32"}
        crowded.run(prompt)
        held.append(resident_megabytes(crowded))
    first, last = np.median(held[runs // 6 : runs // 3]), np.median(held[-runs // 6 :])
    growth = 100 * (last / first - 1)
    print(f"\n{runs} runs: {first:.0f} MB, then {last:.0f} MB: {growth:+.1f} %")
    assert growth < 5, held
