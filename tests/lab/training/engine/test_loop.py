"""The training loop: it learns, resumes to the same numbers, cuts batches, refuses to go on with nonsense."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from autodir_core import AutoDIRError, InputError
from autodir_lab.training.engine.loop import LoopPlan, learning_rate, train

ROOT = Path(__file__).resolve().parents[4]
PLAN = LoopPlan(steps=60, learning_rate=0.05, batch=32, warmup=5, save_every=20, log_every=10, weight_decay=0.0)


def line(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(2, 1)


def fit(module):
    """y = 2 a - b + 1, with noise."""

    def objective(micro):
        x = micro.noise("x", (2,))
        y = (2 * x[:, :1] - x[:, 1:]) + 1 + 0.01 * micro.noise("error", (1,))
        return {"mse": micro.weight * ((module(x) - y) ** 2).mean()}

    return objective


def trained(folder, name="line", **changes) -> nn.Module:
    module = line()
    return train(name, module, fit(module), replace(PLAN, **changes), folder)


def log(path: Path) -> list[dict]:
    return [json.loads(row) for row in path.read_text().splitlines()]


def test_it_learns(tmp_path):
    module = trained(tmp_path, steps=300)
    assert module.weight.flatten().tolist() == pytest.approx([2, -1], abs=0.05)
    rows = log(tmp_path / "line.jsonl")
    assert [row["step"] for row in rows] == list(range(0, 300, 10))
    assert rows[-1]["mse"] < 0.1 * rows[0]["mse"]


@pytest.mark.parametrize("kept", [0.25, 1.0])
def test_a_share_of_the_weights_stays_what_it_was(tmp_path, kept):
    learnt, both, begun = trained(tmp_path, "learnt"), trained(tmp_path, "both", kept=kept), line()
    assert not torch.allclose(learnt.weight, begun.weight)
    assert torch.allclose(both.weight, kept * begun.weight + (1 - kept) * learnt.weight)
    assert torch.allclose(both.bias, kept * begun.bias + (1 - kept) * learnt.bias)
    resumed = trained(tmp_path, "both", kept=kept)  # nothing is left to do: the weights it began with count once
    assert torch.equal(resumed.weight, both.weight)


def test_a_share_beyond_the_whole_is_refused():
    with pytest.raises(InputError, match=r"kept.*0\.\.1"):
        replace(PLAN, kept=1.5)


def test_an_interrupted_run_goes_on_to_the_same_numbers(tmp_path):
    straight = trained(tmp_path, "straight")
    module = line()
    whole = fit(module)

    def until(micro):
        if micro.step == 37:
            raise KeyboardInterrupt
        return whole(micro)

    with pytest.raises(KeyboardInterrupt):
        train("killed", module, until, PLAN, tmp_path)
    again = line(seed=99)
    train("killed", again, fit(again), PLAN, tmp_path)
    assert torch.equal(again.weight, straight.weight) and torch.equal(again.bias, straight.bias)
    assert (tmp_path / "killed.jsonl").read_text() == (tmp_path / "straight.jsonl").read_text()


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, "{root}")
from tests.lab.training.engine.test_loop import PLAN, fit, line, train
module = line()
whole = fit(module)
def slow(micro):
    if micro.step == 30:
        print("now", flush=True)
        time.sleep(60)
    return whole(micro)
train("killed", module, slow, PLAN, Path("{folder}"))
"""


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on_to_the_same_numbers(tmp_path):
    straight = trained(tmp_path, "straight")
    code = KILLED.format(root=ROOT.as_posix(), folder=tmp_path.as_posix())
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout and process.stdout.readline().strip() == b"now"
        os.kill(process.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    assert process.returncode != 0
    again = trained(tmp_path, "killed")
    assert torch.equal(again.weight, straight.weight)
    assert (tmp_path / "killed.jsonl").read_text() == (tmp_path / "straight.jsonl").read_text()


def test_accumulation_gives_the_same_result(tmp_path):
    at_once, in_pieces = trained(tmp_path, "one"), trained(tmp_path, "three", accumulate=3)
    assert torch.allclose(at_once.weight, in_pieces.weight, atol=1e-5)
    assert log(tmp_path / "one.jsonl")[-1]["mse"] == pytest.approx(log(tmp_path / "three.jsonl")[-1]["mse"], rel=1e-4)


def test_a_batch_too_small_for_its_pieces(tmp_path):
    with pytest.raises(InputError, match="cannot be cut into 40 micro-batches"):
        trained(tmp_path, accumulate=40)


def test_a_finished_run_is_not_repeated(tmp_path):
    module = trained(tmp_path)
    again = line(seed=5)
    train("line", again, lambda micro: pytest.fail("no step is left"), PLAN, tmp_path)
    assert torch.equal(again.weight, module.weight)


def test_only_the_named_parameters_are_trained(tmp_path):
    module = trained(tmp_path, trained=("bias",), learning_rate=0.1, ema=0.0)
    assert torch.equal(module.weight, line().weight) and not torch.equal(module.bias, line().bias)
    assert not module.bias.requires_grad
    with pytest.raises(InputError, match="no parameter begins with 'head'; this network has: weight, bias"):
        trained(tmp_path, "other", trained=("head",))


def test_a_folder_with_another_training(tmp_path):
    trained(tmp_path)
    with pytest.raises(InputError, match="other weights"):
        trained(tmp_path, trained=("bias",))


def test_without_an_average_the_last_weights_stay(tmp_path):
    """One plain step: AdamW moves each weight by the learning rate, against its gradient."""
    module = trained(tmp_path, steps=1, warmup=0, ema=0.0, learning_rate=0.01)
    assert (module.weight - line().weight).abs().flatten().tolist() == pytest.approx([0.01, 0.01], abs=1e-5)


def test_clipping_limits_the_gradient(tmp_path):
    module, seen = line(), []

    def steep(micro):
        module.weight.register_hook(lambda gradient: seen.append(gradient.norm().item()))
        return {"x": 1000 * module.weight.sum()}

    module.weight.grad = None
    train("steep", module, steep, replace(PLAN, steps=1, clip=0.5), tmp_path)
    assert seen[0] > 1000
    state = torch.load(tmp_path / "steep.pt", weights_only=True)["optimizer"]["state"]
    assert state[0]["exp_avg"].norm().item() == pytest.approx(0.1 * 0.5, rel=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_too(tmp_path, precision):
    module = trained(tmp_path, steps=300, precision=precision)
    assert module.weight.dtype == torch.float32
    assert module.weight.flatten().tolist() == pytest.approx([2, -1], abs=0.1)


def test_what_is_not_finite_stops_the_run(tmp_path):
    module = line()
    with pytest.raises(AutoDIRError, match="not finite at step 0"):
        train("nan", module, lambda micro: {"x": module.weight.sum() * float("nan")}, PLAN, tmp_path)


def test_the_schedule():
    plan = LoopPlan(steps=110, learning_rate=1.0, warmup=10)
    assert learning_rate(0, plan) == pytest.approx(0.1)
    assert learning_rate(10, plan) == pytest.approx(1.0)
    assert learning_rate(60, plan) == pytest.approx(0.505)
    assert learning_rate(110, plan) == pytest.approx(0.01)
    flat = replace(plan, warmup=0, final_share=1.0)
    assert {learning_rate(step, flat) for step in (0, 50, 109)} == {1.0}


@pytest.mark.parametrize("change", [{"steps": -1}, {"batch": 0}, {"accumulate": 0}, {"precision": "float8"}])
def test_plans_that_make_no_sense(change):
    with pytest.raises(InputError):
        replace(PLAN, **change)
