"""`convert` as its user meets it."""

from __future__ import annotations

import torch
from safetensors import safe_open

from tests.core.cli.helpers import call


def test_convert(tiny_path, tmp_path, capsys):
    target = tmp_path / "half.safetensors"
    assert call("convert", tiny_path, target, "--precision", "bfloat16") == 0
    assert capsys.readouterr().out == f"{tiny_path} (23.7 MB) -> {target} (11.9 MB, bfloat16)\n"
    with safe_open(target, "pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.bfloat16}  # noqa: SIM118


def test_float8(tiny_path, tmp_path, capsys):
    target = tmp_path / "small.safetensors"
    assert call("convert", tiny_path, target, "--precision", "float8") == 0
    assert "MB, float8)" in capsys.readouterr().out
    assert call("inspect", target) == 0
    assert " float8_e4m3fn" in capsys.readouterr().out


def test_targets_that_are_refused(tiny_path, tmp_path, refused):
    (tmp_path / "there.safetensors").write_text("kept")
    assert "must end in .safetensors" in refused("convert", tiny_path, tmp_path / "o.ckpt")
    assert "there.safetensors exists" in refused("convert", tiny_path, tmp_path / "there.safetensors")
    assert "is the source itself" in refused("convert", tiny_path, tiny_path, "--overwrite")
