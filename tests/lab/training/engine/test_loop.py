"""The training loop: it learns, resumes to the same numbers, splits batches, calls its hooks, refuses nonsense."""

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
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset

from autodir_core import AutoDIRError, InputError
from autodir_lab.training.engine.callbacks import Callback
from autodir_lab.training.engine.config import TrainConfig
from autodir_lab.training.engine.loop import train as train_objective
from autodir_lab.training.engine.state import lr_factor
from autodir_lab.training.objectives.losses import Objective

ROOT = Path(__file__).resolve().parents[4]
CONFIG = TrainConfig(
    steps=60, learning_rate=0.05, batch_size=32, warmup_steps=5, save_every=20, log_every=10, weight_decay=0.0
)


class NoPictures(Dataset):
    """The losses of these tests draw their numbers themselves."""

    def __getitem__(self, micro):
        return None


def train(name, module, losses, *given, **options) -> nn.Module:
    return train_objective(name, module, Objective(NoPictures(), lambda micro, _: losses(micro)), *given, **options)


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
    return train(name, module, fit(module), replace(CONFIG, **changes), folder)


def log(path: Path) -> list[dict]:
    return [json.loads(row) for row in path.read_text().splitlines()]


def test_it_learns(tmp_path):
    module = trained(tmp_path, steps=300)
    assert module.weight.flatten().tolist() == pytest.approx([2, -1], abs=0.05)
    rows = log(tmp_path / "line.jsonl")
    assert [row["step"] for row in rows] == list(range(0, 300, 10))
    assert rows[-1]["mse"] < 0.1 * rows[0]["mse"]


@pytest.mark.parametrize("alpha", [0.25, 1.0])
def test_the_result_interpolates_between_initial_and_tuned_weights(tmp_path, alpha):
    tuned, mixed, initial = trained(tmp_path, "tuned"), trained(tmp_path, "mixed", init_weight_alpha=alpha), line()
    assert not torch.allclose(tuned.weight, initial.weight)
    assert torch.allclose(mixed.weight, alpha * initial.weight + (1 - alpha) * tuned.weight)
    assert torch.allclose(mixed.bias, alpha * initial.bias + (1 - alpha) * tuned.bias)
    resumed = trained(tmp_path, "mixed", init_weight_alpha=alpha)  # no step is left: interpolated once, not twice
    assert torch.equal(resumed.weight, mixed.weight)


def test_an_alpha_above_one_is_refused():
    with pytest.raises(InputError, match=r"init_weight_alpha.*0\.\.1"):
        replace(CONFIG, init_weight_alpha=1.5)


def test_an_interrupted_run_goes_on_to_the_same_numbers(tmp_path):
    straight = trained(tmp_path, "straight")
    module = line()
    whole = fit(module)

    def until(micro):
        if micro.step == 37:
            raise KeyboardInterrupt
        return whole(micro)

    with pytest.raises(KeyboardInterrupt):
        train("killed", module, until, CONFIG, tmp_path)
    again = line(seed=99)
    train("killed", again, fit(again), CONFIG, tmp_path)
    assert torch.equal(again.weight, straight.weight) and torch.equal(again.bias, straight.bias)
    assert (tmp_path / "killed.jsonl").read_text() == (tmp_path / "straight.jsonl").read_text()


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, "{root}")
from tests.lab.training.engine.test_loop import CONFIG, fit, line, train
module = line()
whole = fit(module)
def slow(micro):
    if micro.step == 30:
        print("now", flush=True)
        time.sleep(60)
    return whole(micro)
train("killed", module, slow, CONFIG, Path("{folder}"))
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
    at_once, split = trained(tmp_path, "one"), trained(tmp_path, "three", gradient_accumulation_steps=3)
    assert torch.allclose(at_once.weight, split.weight, atol=1e-5)
    assert log(tmp_path / "one.jsonl")[-1]["mse"] == pytest.approx(log(tmp_path / "three.jsonl")[-1]["mse"], rel=1e-4)


def test_a_batch_too_small_for_its_pieces(tmp_path):
    with pytest.raises(InputError, match="cannot be split into 40 micro-batches"):
        trained(tmp_path, gradient_accumulation_steps=40)


def test_a_finished_run_is_not_repeated(tmp_path):
    module = trained(tmp_path)
    again = line(seed=5)
    train("line", again, lambda micro: pytest.fail("no step is left"), CONFIG, tmp_path)
    assert torch.equal(again.weight, module.weight)


def test_only_the_named_parameters_are_trained(tmp_path):
    module = trained(tmp_path, trainable_prefixes=("bias",), learning_rate=0.1, ema_decay=0.0)
    assert torch.equal(module.weight, line().weight) and not torch.equal(module.bias, line().bias)
    assert not module.bias.requires_grad
    with pytest.raises(InputError, match="no parameter begins with 'head'; this network has: weight, bias"):
        trained(tmp_path, "other", trainable_prefixes=("head",))


def test_a_folder_with_another_training(tmp_path):
    trained(tmp_path)
    with pytest.raises(InputError, match="other weights"):
        trained(tmp_path, trainable_prefixes=("bias",))


def test_without_an_average_the_last_weights_stay(tmp_path):
    """One plain step: AdamW moves each weight by the learning rate, against its gradient."""
    module = trained(tmp_path, steps=1, warmup_steps=0, ema_decay=0.0, learning_rate=0.01)
    assert (module.weight - line().weight).abs().flatten().tolist() == pytest.approx([0.01, 0.01], abs=1e-5)


def test_clipping_limits_the_gradient(tmp_path):
    module, seen = line(), []

    def steep(micro):
        module.weight.register_hook(lambda gradient: seen.append(gradient.norm().item()))
        return {"x": 1000 * module.weight.sum()}

    module.weight.grad = None
    train("steep", module, steep, replace(CONFIG, steps=1, max_grad_norm=0.5), tmp_path)
    assert seen[0] > 1000
    state = torch.load(tmp_path / "steep.pt", weights_only=True)["optimizer"]
    assert state[0]["exp_avg"].norm().item() == pytest.approx(0.1 * 0.5, rel=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_too(tmp_path, precision):
    module = trained(tmp_path, steps=300, precision=precision)
    assert module.weight.dtype == torch.float32
    assert module.weight.flatten().tolist() == pytest.approx([2, -1], abs=0.1)


def test_pictures_are_drawn_in_full_precision(tmp_path):
    """Autocast is for the network: convolutions that degrade a picture must not depend on the training's precision."""
    seen, one = {}, torch.ones(1, 1)

    class Pictures(Dataset):
        def __getitem__(self, micro):
            seen["pictures"] = (one @ one).dtype

    def losses(micro, batch):
        seen["losses"] = (one @ one).dtype
        return {"x": module.weight.sum()}

    module = line()
    config = replace(CONFIG, steps=1, precision="bfloat16")
    train_objective("line", module, Objective(Pictures(), losses), config, tmp_path)
    assert seen == {"pictures": torch.float32, "losses": torch.bfloat16}


def test_what_is_not_finite_stops_the_run(tmp_path):
    module = line()
    with pytest.raises(AutoDIRError, match="not finite at step 0"):
        train("nan", module, lambda micro: {"x": module.weight.sum() * float("nan")}, CONFIG, tmp_path)


def test_the_schedule():
    config = TrainConfig(steps=110, learning_rate=0.5, warmup_steps=10)
    assert lr_factor(0, config) == pytest.approx(0.1)
    assert lr_factor(10, config) == pytest.approx(1.0)
    assert lr_factor(60, config) == pytest.approx(0.505)
    assert lr_factor(110, config) == pytest.approx(0.01)
    late = replace(config, decay_fraction=0.5)
    assert [lr_factor(step, late) for step in (10, 55, 110)] == pytest.approx([1.0, 1.0, 0.01])
    assert lr_factor(82, late) == pytest.approx(0.52, abs=0.01), "half of the way down"
    assert lr_factor(110, replace(config, decay_fraction=0.0)) == 1.0
    flat = replace(config, warmup_steps=0, final_lr_fraction=1.0)
    assert {lr_factor(step, flat) for step in (0, 50, 109)} == {1.0}


@pytest.mark.parametrize(
    "change", [{"steps": -1}, {"batch_size": 0}, {"gradient_accumulation_steps": 0}, {"precision": "float8"}]
)
def test_configurations_that_make_no_sense(change):
    with pytest.raises(InputError):
        replace(CONFIG, **change)


class Recorder(Callback):
    """Notes which hooks were called after which step."""

    def __init__(self):
        self.calls, self.rates = [], []

    def on_start(self, state):
        self.calls.append(("start", state.step))

    def on_step(self, state, losses):
        assert list(losses) == ["mse"]
        self.calls.append(("step", state.step))
        self.rates.append(state.optimizer.param_groups[0]["lr"])

    def on_checkpoint(self, state):
        self.calls.append(("checkpoint", state.step))

    def close(self):
        self.calls.append(("close", None))


def recorded(folder, **changes) -> Recorder:
    module, recorder = line(), Recorder()
    train("line", module, fit(module), replace(CONFIG, **changes), folder, callbacks=[recorder])
    return recorder


def test_the_hooks(tmp_path):
    steps = [("step", 1), ("step", 2), ("checkpoint", 2), ("step", 3), ("checkpoint", 3)]
    assert recorded(tmp_path, steps=3, save_every=2).calls == [("start", 0), *steps, ("close", None)]
    assert recorded(tmp_path, steps=3, save_every=2).calls == [("start", 3), ("close", None)]
    assert not (tmp_path / "line.jsonl").exists(), "the logger is one of the callbacks that were replaced"


def test_callbacks_are_closed_after_an_error(tmp_path):
    module, recorder = line(), Recorder()
    with pytest.raises(AutoDIRError):
        train("nan", module, lambda _: {"x": module.weight.sum() / 0}, CONFIG, tmp_path, callbacks=[recorder])
    assert recorder.calls == [("start", 0), ("close", None)]


def test_a_schedule_of_ones_own(tmp_path):
    def halves(optimizer, config, last_step):
        return LambdaLR(optimizer, lambda step: 0.5**step, last_step)

    module, recorder = line(), Recorder()
    train("line", module, fit(module), replace(CONFIG, steps=3), tmp_path, schedule=halves, callbacks=[recorder])
    assert recorder.rates == [0.025, 0.0125, 0.00625], "each of them is the rate of the step to come"


def test_a_continued_training_follows_the_configuration_it_is_given(tmp_path):
    """A loss that was not finite asks for a lower learning rate: the checkpoint must not bring the old one back."""
    recorded(tmp_path, steps=20, final_lr_fraction=1.0)
    rates = recorded(tmp_path, steps=22, learning_rate=0.001, final_lr_fraction=1.0).rates
    assert rates == [0.001, 0.001]
