"""`inspect` as its user meets it."""

from __future__ import annotations

import torch
from safetensors.torch import load_file, save_file

from autodir_core.checkpoint.reader import open_state_dict
from tests.core.cli.helpers import call


def test_inspect(tiny_path, capsys):
    assert call("inspect", tiny_path) == 0
    shown = capsys.readouterr().out
    assert "an AutoDIR model (safetensors, 23.7 MB)" in shown
    assert "UNet       1,078,724 parameters" in shown
    assert "644 float32" in shown
    assert "low resolution, raindrop, no" in shown


def test_a_value_that_is_no_number_is_a_problem(tiny_path, tmp_path, capsys):
    state = load_file(tiny_path)
    state["NAFNet.intro.weight"][0] = float("nan")
    save_file(state, tmp_path / "nan.safetensors", metadata=dict(open_state_dict(tiny_path).metadata))
    assert call("inspect", tmp_path / "nan.safetensors") == 1
    assert "NAFNet.intro.weight holds values that are not finite" in capsys.readouterr().out


def test_inspect_something_else(tmp_path, capsys):
    other = tmp_path / "other.safetensors"
    save_file({"intro.weight": torch.zeros(2, 2), "middle_blks.0.beta": torch.zeros(1)}, other)
    assert call("inspect", other) == 1
    shown = capsys.readouterr().out
    assert "a NAFNet" in shown
    assert "problem" in shown
