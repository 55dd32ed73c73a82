"""The memory estimate: numbers that can be counted by hand, and a hint where they are too large."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from autodir_lab.training.engine import memory
from autodir_lab.training.engine.config import TrainConfig
from autodir_lab.training.engine.distributed import ProcessGroup
from autodir_lab.training.engine.memory import ACTIVATIONS, GIB, describe_memory, estimate_memory
from autodir_lab.training.engine.state import unfreeze

PURPOSES = ("weights", "gradients", "AdamW", "EMA", ACTIVATIONS)
CONFIG = TrainConfig(steps=1, learning_rate=0.1, batch_size=6, gradient_accumulation_steps=2)


def test_it_counts_what_is_trained_and_what_is_kept():
    """relu(10 x 20 weights) squared: autograd keeps x [1, 10], the rectified [1, 20], nothing of the weights."""
    network = nn.ModuleDict({"a": nn.Linear(10, 20, bias=False), "b": nn.Linear(100, 100, bias=False)})
    unfreeze(network["a"], ())

    def objective(micro):
        assert micro.indices == (0,)
        return {"x": micro.weight * torch.relu(network["a"](torch.ones(1, 10))).sum()}

    seen = estimate_memory(network, network["a"], objective, CONFIG, ProcessGroup())
    assert seen == {
        "weights": 4 * (200 + 10000),
        **{"gradients": 800, "AdamW": 1600, "EMA": 800},
        ACTIVATIONS: 3 * 4 * (10 + 20),  # three pictures in a micro-batch
    }


@pytest.mark.parametrize(("there", "hint"), [(4.5, True), (5.5, False)])
def test_a_hint_where_the_device_is_too_small(monkeypatch, there, hint):
    monkeypatch.setattr(memory, "device_memory", lambda device: int(there * GIB))
    line = describe_memory(dict.fromkeys(PURPOSES, GIB), torch.device("cpu"))
    assert line.startswith("about 5.00 GiB of memory: 1.00 weights + 1.00 gradients + 1.00 AdamW + 1.00 EMA")
    assert f"cpu has {there:.1f} GiB" in line and ("raise gradient_accumulation_steps" in line) == hint


def test_more_pieces_need_less(monkeypatch):
    monkeypatch.setattr(memory, "measure_activations", lambda *given: 7)
    network = nn.Linear(1, 1)
    sizes = [
        estimate_memory(
            network, network, None, replace(CONFIG, gradient_accumulation_steps=micro_batches), ProcessGroup()
        )[ACTIVATIONS]
        for micro_batches in (1, 2, 4)
    ]
    assert sizes == [42, 21, 14]
