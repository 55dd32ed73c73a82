"""What a training leaves behind: a log without what was undone, a plot, sheets, TensorBoard on request."""

from __future__ import annotations

import builtins

import pytest
import torch

from autodir_core.errors import PackageError
from autodir_core.imaging.files import read_picture
from autodir_lab.training.engine.logger import Diary, read_log, running_mean


def test_lines_after_the_checkpoint_are_forgotten(tmp_path):
    with Diary(tmp_path, "a", start=0, tensorboard=False, silent=False) as diary:
        for step in range(4):
            diary.write(step, {"x": step / 2})
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"step": 4, "x')
    with Diary(tmp_path, "a", start=2, tensorboard=False, silent=False) as diary:
        diary.write(2, {"x": 9.0})
    assert read_log(tmp_path / "a.jsonl") == [{"step": 0, "x": 0.0}, {"step": 1, "x": 0.5}, {"step": 2, "x": 9.0}]


def test_plot_and_sheet_are_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    with Diary(tmp_path, "a", start=0, tensorboard=False, silent=False) as diary:
        for step in range(50):
            diary.write(step, {"x": 1 / (step + 1), "y": -step})
        diary.plot()
        diary.add_sheet(50, torch.rand(1, 8, 12, 3))
    plot = read_picture(tmp_path / "a.png").image
    assert plot.shape == (1, 480, 800, 3) and plot.std() > 0.05
    assert read_picture(tmp_path / "a-50.png").image.shape == (1, 8, 12, 3)


def test_the_running_mean():
    assert running_mean([1.0, 3.0, 5.0]) == [1.0, 2.0, 3.0]
    assert running_mean([0.0] * 5 + [20.0] * 20)[-1] == 20.0


def test_a_silent_diary_writes_nothing(tmp_path):
    with Diary(tmp_path, "a", start=0, tensorboard=True, silent=True) as diary:
        diary.write(0, {"x": 1.0})
    assert not list(tmp_path.iterdir())


def test_tensorboard_on_request(tmp_path):
    pytest.importorskip("tensorboard")
    with Diary(tmp_path, "a", start=0, tensorboard=True, silent=False) as diary:
        diary.write(0, {"x": 1.0})
        diary.add_sheet(1, torch.rand(1, 8, 8, 3))
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
        Diary(tmp_path, "a", start=0, tensorboard=True, silent=False)
