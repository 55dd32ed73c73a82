"""`inspect` as its user meets it."""

from __future__ import annotations

import torch

from tests.core.cli.helpers import call


def test_inspect(tiny_path, capsys):
    assert call("inspect", tiny_path) == 0
    shown = capsys.readouterr().out
    assert "an AutoDIR model (safetensors, 23.7 MB)" in shown
    assert "UNet       1,078,724 parameters" in shown
    assert "644 float32" in shown
    assert "low resolution, raindrop, no" in shown


def test_inspect_something_else(tmp_path, capsys):
    from safetensors.torch import save_file

    other = tmp_path / "other.safetensors"
    save_file({"intro.weight": torch.zeros(2, 2), "middle_blks.0.beta": torch.zeros(1)}, other)
    assert call("inspect", other) == 1
    shown = capsys.readouterr().out
    assert "a NAFNet" in shown
    assert "problem" in shown
