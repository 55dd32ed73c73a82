"""One ComfyUI for all graph tests, with the tiny golden model and a small picture in its folders."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.host.server import ROOT, Server, environment, find_comfyuis, version_of

STEPS, SEED, ROUNDS = 3, 5, 2

ALONE = """
import sys, numpy, torch, autodir_core as ad
from PIL import Image
weights, photo, target, steps, rounds, seed = sys.argv[1:]
image = torch.from_numpy(numpy.asarray(Image.open(photo), dtype=numpy.float32) / 255)[None]
model = ad.load_autodir(weights, device="cpu")
settings = ad.SamplerSettings(steps=int(steps))
done = ad.restore(model, image, ad.LoopSettings(max_rounds=int(rounds)), settings, seed=int(seed))
latent = model.sample(model.encode(image), model.assess(image).embedding, settings, seed=int(seed))
first = done.rounds[0]
torch.save({"image": done.image, "labels": [r.label for r in done.rounds],
            "latent": latent / model.metadata.latent_scale, "generated": first.generated,
            "corrected": first.corrected}, target)
"""
"""The same restoration without ComfyUI, in a process of its own."""


@pytest.fixture(scope="session", params=find_comfyuis() or [None], ids=lambda place: place and version_of(place))
def comfyui(request: pytest.FixtureRequest) -> Path:
    """Each ComfyUI that the tests run on, named by its version."""
    if request.param is None:
        pytest.skip("no ComfyUI found: set COMFYUI_PATH to its folder, or to several, to run the graph tests")
    return request.param


StartServer = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def start_server(
    comfyui: Path, tmp_path_factory: pytest.TempPathFactory, tiny_path: Path, photo_path: Path
) -> StartServer:
    """Starts a server with the model and the picture in its folders; takes the last arguments of `Server`."""

    @contextmanager
    def start(*node_files: Path, options: tuple[str, ...] = ()) -> Iterator[Server]:
        base = tmp_path_factory.mktemp("comfyui") / "base"
        for source, folder in ((tiny_path, "models/autodir"), (photo_path, "input")):
            (base / folder).mkdir(parents=True)
            shutil.copy(source, base / folder)
        running = Server(comfyui, base, *node_files, options=options)
        try:
            yield running
        finally:
            running.stop()

    return start


@pytest.fixture(scope="session")
def server(start_server: StartServer) -> Iterator[Server]:
    with start_server() as running:
        yield running


@pytest.fixture(scope="session")
def photo_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 72 x 50 pixels, no multiple of the model's stride."""
    with np.load(ROOT / "tests/golden/inputs.npz") as arrays:
        pixels = arrays["photo_a_96x128"][:50, :72]
    path = tmp_path_factory.mktemp("photo") / "small.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def alone(server: Server, tiny_path: Path, photo_path: Path) -> dict[str, Any]:
    """What the core gives without ComfyUI, with the same Python and the same number of threads."""
    target = server.base / "alone.pt"
    arguments = map(str, (tiny_path, photo_path, target, STEPS, ROUNDS, SEED))
    subprocess.run([server.python, "-c", ALONE, *arguments], cwd=ROOT, env=environment(), check=True)
    return torch.load(target)


@pytest.fixture
def workflow() -> Callable[..., dict[str, Any]]:
    """A shipped workflow by its name, as `prepared` gives it."""
    return lambda name, **changes: prepared(ROOT / f"workflows/api/{name}.json", **changes)


def prepared(path: Path, **changes: Any) -> dict[str, Any]:
    """A workflow file as `prepare` changes it."""
    return prepare(json.loads(path.read_text(encoding="utf-8")), **changes)


def prepare(prompt: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A prompt on the tiny model and the small picture; keywords change inputs of whatever node has them."""
    values = {"file": "tiny.safetensors", "preset": "custom", "steps": STEPS, "seed": SEED, "max_rounds": ROUNDS}
    for node in prompt.values():
        inputs = node["inputs"]
        inputs.update({key: value for key, value in {**values, **changes}.items() if key in inputs})
        if node["class_type"] == "LoadImage":
            inputs["image"] = "small.png"
    return prompt


def completed(prompt: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """An API prompt with the widgets that our nodes got since it was saved, at the defaults that a page gives them."""
    for node in prompt.values():
        if node["class_type"].startswith("AutoDIR"):
            optional = definitions[node["class_type"]]["input"].get("optional", {})
            defaults = {name: socket[1]["default"] for name, socket in optional.items() if "default" in socket[1]}
            node["inputs"] = defaults | node["inputs"]
    return prompt


def number_of(prompt: dict[str, Any], class_type: str, title: str = "") -> str:
    """The number of the one node of a class, with a title where there are several."""
    (number,) = (
        number
        for number, node in prompt.items()
        if node["class_type"] == class_type and title in node["_meta"]["title"]
    )
    return number


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def saved_by_comfyui(image: torch.Tensor) -> np.ndarray:
    """[1, H, W, 3] as Save Image writes it: cut off, not rounded."""
    return np.clip(255.0 * image[0].numpy(), 0, 255).astype(np.uint8)
