"""Broken and hostile weights files: looked at or refused in one line, within seconds, and nothing in them is run."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

import autodir_core as ad
from autodir_core.errors import AutoDIRError

from .mutate import mutate

PATIENCE = 5.0
"""Seconds of a single file."""

VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 5, 1e308, 2**63, "", "no", "x" * 10_000, [], [1], {}, {"a": 1}, [["noise", "no"]]),
    *(["noise", "no"], ["no"], [None], {"low resolution": 0.0}, {"noise": "big"}, {"noise": {"min_edges": [1]}}),
)
"""Of every JSON type, right and wrong."""

KEYS = (
    "labels",
    "unet_heads",
    "text_heads",
    "vision_heads",
    "norm_groups",
    "latent_scale",
    "scm_weight",
    "gate",
    "name",
)


def look(path: Path) -> bool:
    """Look at a file as the commands do; whether it could be opened."""
    start = time.process_time()
    try:
        found = ad.inspect(path, values=True)
        assert found.problem is None or "\n" not in found.problem
        return True
    except AutoDIRError as error:
        assert "\n" not in str(error)
        return False
    finally:
        assert time.process_time() - start < PATIENCE


@pytest.fixture
def small() -> dict[str, torch.Tensor]:
    """A few tensors under official names."""
    names = (
        "model.diffusion_model.out.2.weight",
        "first_stage_model.decoder.conv_in.bias",
        "SCM.intro.weight",
        "other",
    )
    return {name: torch.randn(4, 4) for name in names}


def test_mutated_safetensors(tmp_path: Path, small: dict[str, torch.Tensor], rng: random.Random, trials: int) -> None:
    intact, path = (
        save(small, metadata={"autodir": json.dumps({"labels": ["noise", "no"]})}),
        tmp_path / "a.safetensors",
    )
    opened = 0
    for _ in range(trials):
        path.write_bytes(mutate(intact, rng, head=len(intact) // 2))
        opened += look(path)
    assert 0 < opened < trials


def test_headers_that_lie_about_sizes(tmp_path: Path, rng: random.Random, trials: int) -> None:
    path = tmp_path / "a.safetensors"
    for _ in range(trials):
        shape = [rng.choice((0, 1, 4, 2**31, 2**62, -1)) for _ in range(rng.randrange(4))]
        offsets = [rng.choice((0, 8, 64, 2**40, 2**63 - 1, -8)) for _ in range(2)]
        entry = {
            "dtype": rng.choice(("F32", "F16", "BF16", "F8_E4M3", "I64", "XX")),
            "shape": shape,
            "data_offsets": offsets,
        }
        header = json.dumps({"SCM.intro.weight": entry}).encode()
        length = len(header) if rng.random() < 0.7 else rng.choice((0, 1, 2**20, 2**40, 2**63))
        path.write_bytes(struct.pack("<Q", length) + header + bytes(64))
        look(path)


def test_mutated_pickles(tmp_path: Path, small: dict[str, torch.Tensor], rng: random.Random, trials: int) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": small, "epoch": 3}, path)
    intact = path.read_bytes()
    for _ in range(trials):
        path.write_bytes(mutate(intact, rng, head=2000))
        look(path)


class Attack:
    """What runs a command when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("place", ["beside", "as the weights", "as a tensor"])
def test_nothing_in_a_pickle_is_run(tmp_path: Path, small: dict[str, torch.Tensor], place: str) -> None:
    trace = tmp_path / "trace"
    for function in (os.system, eval, exec):
        text = f"touch {trace}" if function is os.system else f"open({str(trace)!r}, 'w')"
        attack = Attack(function, text)
        contents = {
            "beside": {"state_dict": small, "hook": attack},
            "as the weights": {"state_dict": attack},
            "as a tensor": {"state_dict": small | {"SCM.intro.weight": attack}},
        }
        torch.save(contents[place], tmp_path / "a.ckpt")
        look(tmp_path / "a.ckpt")
        (tmp_path / "b.ckpt").write_bytes(pickle.dumps(contents[place]))
        look(tmp_path / "b.ckpt")
        assert not trace.exists()


def test_metadata_of_every_type(tmp_path: Path, tiny_path: Path, rng: random.Random, trials: int) -> None:
    """The tensors are a whole model's; only what it says of itself is changed."""
    content = tiny_path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, tensors, path = json.loads(content[8 : 8 + length]), content[8 + length :], tmp_path / "a.safetensors"
    told = json.loads(header["__metadata__"]["autodir"])
    for _ in range(max(trials // 10, 10)):
        changed = told | {rng.choice(KEYS): rng.choice(VALUES) for _ in range(rng.randrange(1, 4))}
        whole = rng.choice((changed, changed, changed, rng.choice(VALUES)))
        raw = json.dumps(header | {"__metadata__": {"autodir": json.dumps(whole)}}).encode()
        path.write_bytes(struct.pack("<Q", len(raw)) + raw + tensors)
        look(path)
