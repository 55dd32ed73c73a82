"""Models that drive each other out of the GPU: ComfyUI's own memory management, at work on the CPU.

ComfyUI refuses `--novram` and `--lowvram` beside `--cpu`, so a node file puts the CPU in the place of a GPU. All of the
management runs then, but moves nothing: for that the weights end up on another device, it takes a GPU.
"""

from __future__ import annotations

import os
import shutil
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
import comfy.model_management as management
import torch

gpu = torch.device("cpu", 0)  # not equal to torch.device("cpu"), where ComfyUI keeps idle models
management.get_torch_device = lambda: gpu
management.is_device_cpu = lambda device: device != gpu
management.vram_state = management.VRAMState.{state}
management.DISABLE_SMART_MEMORY = True  # whatever is loaded drives out everything else
NODE_CLASS_MAPPINGS = {{}}
"""
LOADED = "Requested to load Networks"


@pytest.fixture(scope="module", params=["NO_VRAM", "LOW_VRAM"])
def crowded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, start_server: StartServer
) -> Iterator[Server]:
    """A server like that of the other tests, in which one model at a time is loaded."""
    node_file = tmp_path_factory.mktemp(request.param) / "managed.py"
    node_file.write_text(MANAGED.format(state=request.param), encoding="utf-8")
    with start_server(node_file) as running:
        yield running


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
    assert crowded.log().count(LOADED) >= loads + 2, "both were driven out and came back"


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
