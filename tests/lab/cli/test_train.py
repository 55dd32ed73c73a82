"""The command `train`: what it asks for, what it refuses, and one run of it."""

from __future__ import annotations

import pytest

import autodir_core as ad
from autodir_core.cli import main
from autodir_lab.cli.train import NEEDS
from autodir_lab.training.recipes import PARTS, shipped_recipe


def call(*argv: object) -> int:
    return main([str(argument) for argument in argv])


@pytest.fixture
def asked(monkeypatch, tiny) -> list:
    """What the training was asked for, instead of hours of it."""
    calls = []

    def train_parts(training, parts, target):
        calls.append((training, parts, target))
        return target

    monkeypatch.setattr("autodir_lab.training.stages.train_parts", train_parts)
    monkeypatch.setattr("autodir_lab.training.stages.gather_data", lambda *given, **named: given)
    monkeypatch.setattr("autodir_lab.training.recipes.start_model", lambda recipe: tiny)
    monkeypatch.setattr("torch.set_num_threads", calls.append)
    return calls


@pytest.fixture
def refused(capsys):
    """Runs a command that must end with one line of error and exit code 2; the line."""

    def run(*argv: object) -> str:
        assert call(*argv) == 2
        shown = capsys.readouterr().err.splitlines()
        assert len(shown) == 1
        return shown[0]

    return run


def test_asks_for_the_parts_and_the_steps(asked, tmp_path, capsys):
    options = "--parts", "biqa,vae", "--share", 0.5, "--threads", 1, "--device", "cpu", "--photos", "holiday"
    assert call("train", "mini", "--out", tmp_path / "run", *options) == 0
    threads, (training, parts, target) = asked
    assert (threads, parts) == (1, ("biqa", "vae"))
    assert target == tmp_path / "run" / "autodir-mini.safetensors" and training.fresh
    assert training.recipe.biqa.steps == round(shipped_recipe("mini").biqa.steps / 2)
    sources, labels, folder = training.data
    assert (sources.photos, labels, folder) == ("holiday", ad.LABELS, tmp_path / "run")
    assert "autodir-mini.safetensors is written" in capsys.readouterr().out


def test_trains_a_part_of_a_file_on(asked, tiny_path, tmp_path):
    options = "--model", tiny_path, "--recipe", "official", "--device", "cpu", "--save", tmp_path / "new.ckpt"
    assert call("train", "ldm", "--out", tmp_path / "run", *options) == 0
    [(training, parts, target)] = asked
    assert (parts, target, training.fresh) == (("ldm",), tmp_path / "new.ckpt", False)
    assert training.recipe == shipped_recipe("official")


def test_a_part_without_what_it_builds_on(asked, tmp_path, refused):
    assert "builds on vae" in refused("train", "ldm", "--out", tmp_path)
    (tmp_path / "vae-done.pt").touch()
    assert call("train", "mini", "--out", tmp_path, "--parts", "ldm") == 0
    assert [parts for _, parts, _ in asked] == [("ldm",)]


def test_values_that_make_no_sense(asked, tiny_path, tmp_path, refused):
    assert "got 'nafnet'" in refused("train", "mini", "--out", tmp_path, "--parts", "nafnet")
    assert "--share must be above 0" in refused("train", "mini", "--out", tmp_path, "--share", 0)
    assert "biqa is one part already" in refused("train", "biqa", "--out", tmp_path, "--parts", "vae")
    assert "does not exist" in refused("train", "mini", "--out", tmp_path, "--recipe", "gone.toml")
    assert "--save takes" in refused("train", "mini", "--out", tmp_path, "--save", "model.pt")
    same = "--model", tiny_path, "--save", tiny_path
    assert "is the model that is trained on" in refused("train", "ldm", "--out", tmp_path, *same)
    assert not asked


def test_the_parts_are_those_of_the_recipe():
    assert tuple(NEEDS) == PARTS


@pytest.mark.slow
def test_a_file_is_trained_on(tiny_path, tmp_path, capsys):
    """The whole command on pairs: from the file to a file that restores."""
    import torch

    from autodir_core.imaging.files import write_picture

    for label in ad.LABELS[:-1]:
        clean = torch.rand(1, 80, 80, 3)
        write_picture(tmp_path / "pairs" / label / "clean" / "a.png", clean)
        write_picture(tmp_path / "pairs" / label / "degraded" / "a.png", clean / 2)
    recipe = tmp_path / "short.toml"
    plans = "".join(f"[{part}]\nsteps = 2\nlearning_rate = 1e-4\nbatch_size = 2\n" for part in PARTS)
    recipe.write_text(f"name = 'short'\n{plans}[data]\nscenes = 0\n[scm_data.crops]\nsize = 64\nclean_share = 0.1\n")
    options = "--model", tiny_path, "--recipe", recipe, "--pairs", tmp_path / "pairs", "--device", "cpu"
    assert call("train", "scm", "--out", tmp_path / "run", *options) == 0
    shown = capsys.readouterr().out
    assert "scm: about" in shown and "short.safetensors is written" in shown
    model = ad.load_autodir(tmp_path / "run" / "short.safetensors", device="cpu")
    assert model.labels == ad.LABELS
    assert (tmp_path / "run" / "scm-2.png").is_file() and (tmp_path / "run" / "scm.jsonl").is_file()
