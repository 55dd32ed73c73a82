"""The command `train`: what it asks for, what it refuses, and one run of it."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.cli import main
from autodir_core.imaging.files import write_picture
from autodir_lab.training import STAGE_NAMES
from autodir_lab.training.recipes.recipe import read_recipe


def call(*argv: object) -> int:
    return main([str(argument) for argument in argv])


class Given(tuple):
    """What the data were asked for with, in their place."""

    left_out = ()


@pytest.fixture
def asked(monkeypatch, tiny) -> list:
    """What the training was asked for, instead of hours of it."""
    calls = []

    def train_stages(training, stages, target):
        calls.append((training, stages, target))
        return target

    monkeypatch.setattr("autodir_lab.training.run.train_stages", train_stages)
    monkeypatch.setattr("autodir_lab.training.run.load_data", lambda *given, **named: Given(given))
    monkeypatch.setattr("autodir_lab.training.run.init_model", lambda recipe: tiny)
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


def test_asks_for_the_stages_and_the_steps(asked, tmp_path, capsys):
    options = "--stages", "biqa,vae", "--steps-scale", 0.5, "--threads", 1, "--device", "cpu", "--photos", "holiday"
    assert call("train", "mini", "-o", tmp_path / "run", "--workers", 3, *options) == 0
    threads, (training, stages, target) = asked
    assert (threads, stages, training.num_workers) == (1, ("biqa", "vae"), 3)
    assert target == tmp_path / "run" / "autodir-mini.safetensors" and training.from_scratch
    assert training.recipe.biqa.steps == round(read_recipe("mini").biqa.steps / 2)
    sources, labels, folder = training.data
    assert (sources.photos, labels, folder) == ("holiday", ad.LABELS, tmp_path / "run")
    assert "autodir-mini.safetensors is written" in capsys.readouterr().out


def test_the_former_names_of_options_work_but_are_not_shown(asked, tmp_path, capsys):
    assert call("train", "mini", "-o", tmp_path, "--parts", "biqa", "--share", 0.5, "--device", "cpu") == 0
    [(training, stages, _)] = asked
    assert stages == ("biqa",) and training.recipe.biqa.steps == round(read_recipe("mini").biqa.steps / 2)
    with pytest.raises(SystemExit):
        call("train", "--help")
    shown = capsys.readouterr().out
    assert "--steps-scale" in shown and "--share" not in shown and "--parts" not in shown


def test_continues_a_stage_of_a_file(asked, tiny_path, tmp_path):
    options = "--model", tiny_path, "--recipe", "official", "--device", "cpu", "--save", tmp_path / "new.ckpt"
    assert call("train", "ldm", "-o", tmp_path / "run", *options) == 0
    [(training, stages, target)] = asked
    assert (stages, target, training.from_scratch) == (("ldm",), tmp_path / "new.ckpt", False)
    assert training.recipe == read_recipe("official")


def test_a_stage_without_those_that_it_needs(asked, tmp_path, refused):
    assert "builds on vae" in refused("train", "ldm", "-o", tmp_path)
    (tmp_path / "vae-final.pt").touch()
    assert call("train", "mini", "-o", tmp_path, "--stages", "ldm") == 0
    assert [stages for _, stages, _ in asked] == [("ldm",)]


def test_values_that_make_no_sense(asked, tiny_path, tmp_path, refused):
    assert "argument STAGE: invalid choice: 'nafnet'" in refused("train", "nafnet", "-o", tmp_path)
    assert "got 'nafnet'" in refused("train", "mini", "-o", tmp_path, "--stages", "nafnet")
    assert "--steps-scale must be above 0" in refused("train", "mini", "-o", tmp_path, "--steps-scale", 0)
    assert "biqa is one stage already" in refused("train", "biqa", "-o", tmp_path, "--stages", "vae")
    assert "does not exist" in refused("train", "mini", "-o", tmp_path, "--recipe", "gone.toml")
    assert "--save takes" in refused("train", "mini", "-o", tmp_path, "--save", "model.pt")
    same = "--model", tiny_path, "--save", tiny_path
    assert "is the file of --model" in refused("train", "ldm", "-o", tmp_path, *same)
    assert not asked


@pytest.mark.parametrize("command", ["train", "teach"])
def test_pictures_that_were_left_out_are_counted_at_the_end(command, tiny_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("autodir_lab.training.run.train_stages", lambda training, stages, target: target)
    monkeypatch.setattr("autodir_lab.training.add_label.train_stages", lambda training, stages, target: target)
    for side in ("degraded", "clean"):
        for name in ("whole", "broken", "alone"):
            write_picture(tmp_path / "pairs" / "haze" / side / f"{name}.png", torch.rand(1, 64, 64, 3))
    (tmp_path / "pairs" / "haze" / "degraded" / "broken.png").write_text("no picture")
    (tmp_path / "pairs" / "haze" / "clean" / "alone.png").unlink()
    write_picture(tmp_path / "photos" / "small.png", torch.rand(1, 64, 64, 3))
    write_picture(tmp_path / "photos" / "large.png", torch.rand(1, 520, 520, 3))
    recipe = tmp_path / "short.toml"
    stages = "".join(f"[{stage}]\nsteps = 1\nlearning_rate = 1e-4\nbatch_size = 2\n" for stage in STAGE_NAMES)
    recipe.write_text(f"name = 'short'\n{stages}[data]\nscenes = 0\n")
    options = "--model", tiny_path, "--recipe", recipe, "--photos", tmp_path / "photos", "--device", "cpu"
    what = ("train", "scm", "--pairs", tmp_path / "pairs")
    if command == "teach":
        what = ("teach", "mist", "--pairs", tmp_path / "pairs" / "haze")
    for _ in range(2):  # the second time the tiles are there already
        assert call(*what, "-o", tmp_path / "run", *options) == 1
        shown = capsys.readouterr()
        assert "is written" in shown.out
        line = shown.err.splitlines()[-1]
        assert "3 left out (" in line and all(f"1 {why}" in line for why in ("too small", "unreadable", "without"))


@pytest.mark.slow
def test_the_training_of_a_file_is_continued(tiny_path, tmp_path, capsys):
    """The whole command on pairs: from the file to a file that restores."""
    for label in ad.LABELS[:-1]:
        clean = torch.rand(1, 80, 80, 3)
        write_picture(tmp_path / "pairs" / label / "clean" / "a.png", clean)
        write_picture(tmp_path / "pairs" / label / "degraded" / "a.png", clean / 2)
    recipe = tmp_path / "short.toml"
    plans = "".join(f"[{stage}]\nsteps = 2\nlearning_rate = 1e-4\nbatch_size = 2\n" for stage in STAGE_NAMES)
    recipe.write_text(
        f"name = 'short'\n{plans}[data]\nscenes = 0\n[scm_objective.crops]\nsize = 64\nclean_fraction = 0.1\n"
    )
    options = "--model", tiny_path, "--recipe", recipe, "--pairs", tmp_path / "pairs", "--device", "cpu"
    assert call("train", "scm", "-o", tmp_path / "run", *options) == 0
    shown = capsys.readouterr().out
    assert "scm: about" in shown and "short.safetensors is written" in shown
    model = ad.load_autodir(tmp_path / "run" / "short.safetensors", device="cpu")
    assert model.labels == ad.LABELS
    assert (tmp_path / "run" / "scm-2.png").is_file() and (tmp_path / "run" / "scm.jsonl").is_file()
