"""The training loop: it learns, it resumes to the same numbers, it refuses to go on with nonsense."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from autodir_core import AutoDIRError
from autodir_core.training.loop import LoopPlan, learning_rate, train

PLAN = LoopPlan(steps=60, learning_rate=0.05, warmup=5, save_every=20, weight_decay=0.0)


def line(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(2, 1)


def fit(module):
    """y = 2 a - b + 1, with noise from the step's own generators."""

    def objective(step, rng):
        x = torch.from_numpy(rng.normal(size=(32, 2))).float() + 0.01 * torch.randn(32, 2)
        y = (2 * x[:, :1] - x[:, 1:]) + 1
        return {"mse": ((module(x) - y) ** 2).mean()}

    return objective


def test_it_learns(tmp_path):
    module = line()
    train("line", module, fit(module), replace(PLAN, steps=300), tmp_path)
    assert module.weight.flatten().tolist() == pytest.approx([2, -1], abs=0.05)
    log = [json.loads(row) for row in (tmp_path / "line.jsonl").read_text().splitlines()]
    assert log[-1]["mse"] < 0.1 * log[0]["mse"]


def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path):
    straight = line()
    train("straight", straight, fit(straight), PLAN, tmp_path)

    first, killed = line(), fit
    steps_before = 37

    def dies(module):
        objective = killed(module)

        def until(step, rng):
            if step == steps_before:
                raise KeyboardInterrupt
            return objective(step, rng)

        return until

    with pytest.raises(KeyboardInterrupt):
        train("killed", first, dies(first), PLAN, tmp_path)
    again = line(seed=99)
    train("killed", again, fit(again), PLAN, tmp_path)
    assert torch.equal(again.weight, straight.weight) and torch.equal(again.bias, straight.bias)


def test_a_finished_run_is_not_repeated(tmp_path):
    module = line()
    train("line", module, fit(module), PLAN, tmp_path)
    again = line(seed=5)
    train("line", again, lambda step, rng: pytest.fail("no step is left"), PLAN, tmp_path)
    assert torch.equal(again.weight, module.weight)


def test_what_is_not_finite_stops_the_run(tmp_path):
    module = line()
    with pytest.raises(AutoDIRError, match="not finite at step 0"):
        train("nan", module, lambda step, rng: {"x": module.weight.sum() * float("nan")}, PLAN, tmp_path)


def test_the_schedule():
    plan = LoopPlan(steps=110, learning_rate=1.0, warmup=10)
    assert learning_rate(0, plan) == pytest.approx(0.1)
    assert learning_rate(10, plan) == pytest.approx(1.0)
    assert learning_rate(60, plan) == pytest.approx(0.505)
    assert learning_rate(110, plan) == pytest.approx(0.01)
