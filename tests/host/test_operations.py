"""Which of our layers ComfyUI could load in part and cast, were they of its own classes (`comfy.ops`), and which not.

docs/structure.md says what follows from it. The classes are exchanged on networks that are built already.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.host.server import ROOT, Server, environment

pytestmark = pytest.mark.host

SCRIPT = """
import sys
pack, weights, target = sys.argv[1:]
sys.argv[1:] = ["--cpu"]
sys.path.append(pack)
import comfy.options
comfy.options.enable_args_parsing()
import torch
from autodir_core.model import load_autodir
from autodir_core.networks.group_norm import ExactGroupNorm
from comfy.ops import manual_cast
from torch import nn

NAMES = ("Linear", "Conv1d", "Conv2d", "GroupNorm", "LayerNorm", "Embedding")
THEIRS = {getattr(nn, name): getattr(manual_cast, name) for name in NAMES}
PLAIN = {ExactGroupNorm: nn.GroupNorm}  # theirs sums as PyTorch's does, so that is what it is compared with


def share(network):
    # of the weights, those in a layer that ComfyUI's loader moves and casts by itself
    sizes = {True: 0, False: 0}
    for module in network.modules():
        sizes[type(module) in THEIRS] += sum(weight.numel() for weight in module.parameters(recurse=False))
    return sizes[True] / (sizes[True] + sizes[False])


def exchange(network, classes):
    for layer in network.modules():
        layer.__class__ = classes.get(type(layer), type(layer))
    return network


class Silent(torch.nn.Linear):
    def forward(self, x):
        raise AssertionError("called after all")


model = load_autodir(weights, device="cpu")
exchange(model.networks, PLAIN)
image = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(0))
settings = {"steps": 2}


def run():
    with torch.inference_mode():
        code = model.encode(image)
        text = model.embed_text(["remove the rain"])
        return code, model.predict_noise(code, torch.tensor([500.0]), code, text), model.decode(code)


shares = {name: share(network) for name, network in model.networks.named_children()}
before = run()
exchange(model.networks.unet, THEIRS), exchange(model.networks.vae, THEIRS)
cast = sum(layer.comfy_cast_weights for layer in model.networks.modules() if hasattr(layer, "comfy_cast_weights"))
after = run()
for module in model.networks.clip.modules():
    if isinstance(module, nn.MultiheadAttention):
        module.out_proj.__class__ = Silent  # whose weight is read without a call, so nothing could bring it along
model.embed_text(["remove the rain"])
torch.save({"shares": shares, "before": before, "after": after, "cast": cast}, target)
"""


@pytest.fixture(scope="module")
def found(server: Server, tiny_path: Path) -> dict[str, Any]:
    target = server.base / "operations.pt"
    command = [server.python, "-c", SCRIPT, str(ROOT), str(tiny_path), str(target)]
    done = subprocess.run(command, cwd=server.comfyui, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return torch.load(target)


def test_diffusion_and_autoencoder_could_have_their_classes(found: dict[str, Any]) -> None:
    """With every layer casting, as under partial loading, the numbers stay the same."""
    assert found["shares"]["unet"] == found["shares"]["vae"] == 1
    assert found["cast"] > 100
    assert all(torch.equal(one, other) for one, other in zip(found["before"], found["after"], strict=True))


def test_the_text_and_image_encoder_could_not(found: dict[str, Any]) -> None:
    """The attention of torch reads its weights itself; embeddings and projections belong to no layer at all."""
    assert found["shares"]["clip"] < 1 and found["shares"]["scm"] < 1
