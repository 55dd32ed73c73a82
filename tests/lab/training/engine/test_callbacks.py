"""What a training leaves behind: a log without what was undone, a plot, sample grids, TensorBoard on request."""

from __future__ import annotations

import builtins
from contextlib import closing
from dataclasses import replace

import pytest
import torch
from torch import nn

from autodir_core.errors import PackageError
from autodir_core.imaging.files import read_picture
from autodir_lab.training.engine.callbacks import SampleGrids, TrainingLogger, read_log, running_mean
from autodir_lab.training.engine.config import TrainConfig
from autodir_lab.training.engine.state import init_state

CONFIG = TrainConfig(steps=50, learning_rate=0.1)


def at_step(step: int):
    """A state in which so many steps were taken."""
    return replace(init_state(nn.Linear(1, 1), CONFIG, torch.device("cpu")), step=step)


def test_lines_after_the_checkpoint_are_forgotten(tmp_path):
    logger = TrainingLogger(tmp_path, "a")
    logger.on_start(at_step(0))
    for step in range(4):
        logger.on_step(at_step(step + 1), {"x": step / 2})
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"step": 4, "x')
    logger.on_start(at_step(2))
    logger.on_step(at_step(3), {"x": 9.0})
    assert read_log(tmp_path / "a.jsonl") == [{"step": 0, "x": 0.0}, {"step": 1, "x": 0.5}, {"step": 2, "x": 9.0}]


def test_only_some_steps_are_logged(tmp_path):
    logger = TrainingLogger(tmp_path, "a", log_every=3)
    for step in range(7):
        logger.on_step(at_step(step + 1), {"x": 1.0})
    assert [row["step"] for row in read_log(tmp_path / "a.jsonl")] == [0, 3, 6]


def test_plot_and_sample_grid_are_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    logger = TrainingLogger(tmp_path, "a")
    for step in range(50):
        logger.write(step, {"x": 1 / (step + 1), "y": -step})
    logger.on_checkpoint(at_step(50))
    logger.add_sample_grid(50, torch.rand(1, 8, 12, 3))
    plot = read_picture(tmp_path / "a.png").image
    assert plot.shape == (1, 480, 800, 3) and plot.std() > 0.05
    assert read_picture(tmp_path / "a-50.png").image.shape == (1, 8, 12, 3)


@pytest.mark.parametrize(("every", "drawn"), [(0, ["a-5.png"]), (2, ["a-2.png", "a-4.png", "a-5.png"])])
def test_sample_grids_show_the_averaged_weights(tmp_path, every, drawn):
    state = at_step(0)
    state.ema["weight"] = torch.full((1, 1), 0.5)
    current = state.module.weight.detach().clone()

    def draw():
        assert not state.module.training
        return state.module.weight.detach().expand(1, 4, 4, 3)

    grids = SampleGrids(draw, TrainingLogger(tmp_path, "a"), every=every, steps=5)
    for step in range(1, 6):
        grids.on_step(replace(state, step=step), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == drawn
    assert read_picture(tmp_path / "a-5.png").image.unique().tolist() == pytest.approx([0.5], abs=1 / 255)
    assert torch.equal(state.module.weight, current) and state.module.training


def test_what_a_kill_after_the_checkpoint_left_undrawn_is_drawn_by_the_next_run(tmp_path):
    pytest.importorskip("matplotlib")
    logger = TrainingLogger(tmp_path, "a")
    grids = SampleGrids(lambda: torch.rand(1, 8, 12, 3), logger, every=2, steps=5)
    for step in range(5):
        logger.write(step, {"x": 1.0})
    for step in (5, 4, 3, 0):
        for callback in (logger, grids):
            callback.on_start(at_step(step))
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["a-4.png", "a-5.png", "a.png"]


def test_the_running_mean():
    assert running_mean([1.0, 3.0, 5.0]) == [1.0, 2.0, 3.0]
    assert running_mean([0.0] * 5 + [20.0] * 20)[-1] == 20.0


def test_tensorboard_on_request(tmp_path):
    pytest.importorskip("tensorboard")
    with closing(TrainingLogger(tmp_path, "a", tensorboard=True)) as logger:
        logger.on_start(at_step(0))
        logger.on_step(at_step(1), {"x": 1.0})
        logger.add_sample_grid(1, torch.rand(1, 8, 8, 3))
    [events] = (tmp_path / "tensorboard" / "a").iterdir()
    assert events.stat().st_size > 200


def test_tensorboard_that_is_missing(tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *given, **named):
        if name.startswith("torch.utils.tensorboard"):
            raise ModuleNotFoundError("No module named 'tensorboard'", name="tensorboard")
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PackageError, match=r"tensorboard cannot be imported.*pip install tensorboard"):
        TrainingLogger(tmp_path, "a", tensorboard=True).on_start(at_step(0))
