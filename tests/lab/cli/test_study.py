"""The command `study`: both ablations of two steps, from the options to the tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from autodir_core.cli import main
from autodir_core.imaging.files import write_picture
from autodir_lab.ablations.recognition import VARIANTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def study(tiny_recipe, tiny_path, random_image, folder):
    """Run the command on one photo with the tiny model and recipe; return the exit code."""
    write_picture(folder / "photos" / "one.png", random_image(0, 256))
    options = ("-o", folder, "--photos", folder / "photos", "--model", tiny_path, "--device", "cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autodir_lab.ablations.run.read_recipe", lambda name: tiny_recipe)
        yield lambda *arguments: main(["study", *map(str, (*arguments, *options))])


@pytest.fixture(scope="module")
def two_steps(study, folder) -> Path:
    """The folder of both ablations, run with two steps."""
    steps = ("--steps", 2, "--sampling-steps", 2)
    assert study(*steps, "--size", 32, "--seeds", 3, "--crops-per-photo", 1, "--quiet") == 0
    return folder


def read_results(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_recognition_measures_every_variant(two_steps):
    results = read_results(two_steps / "recognition.json")
    assert [(one["variant"], one["seed"]) for one in results] == [(name, 3) for name in VARIANTS]
    assert all(0 <= one["accuracy"] <= 1 and 0 <= one["false_positive_rate"] <= 1 for one in results)
    header, _, *table = (two_steps / "recognition.md").read_text(encoding="utf-8").splitlines()
    assert header == "2 steps each, seeds 3, 1 photos, 1 crops" and len(table) == 2 + len(VARIANTS)


def test_each_variant_is_trained_with_its_own_losses(two_steps):
    losses, trained = {}, {}
    for name in VARIANTS:
        log = (two_steps / f"{name} 3" / "biqa.jsonl").read_text(encoding="utf-8").splitlines()
        losses[name] = {key for line in log for key, loss in json.loads(line).items() if loss} - {"step"}
        trained[name] = torch.load(two_steps / f"{name} 3" / "biqa.pt", weights_only=True)["weights"]
    assert losses["classifier"] == {"cross_entropy"}
    assert losses["classification loss"] == {"fidelity", "cross_entropy"}
    assert losses["semantic-agnostic term"] == {"fidelity", "cross_entropy", "semantic_agnostic"}
    assert {"head.weight", "head.bias", "clip.logit_scale"} < set(trained["classifier"])
    assert {name.partition(".")[0] for name in trained["classification loss"]} == {"visual", "logit_scale"}


def test_restoration_measures_every_variant_on_every_label(two_steps):
    gains = read_results(two_steps / "restoration.json")
    assert len(gains) == 7 * 6 + 3 * 2 and len({one["decibels"] for one in gains}) > 30
    header, *tables = (two_steps / "restoration.md").read_text(encoding="utf-8").splitlines()
    assert "1 crops of 32 pixels" in header and header.endswith("2 steps")
    assert [line for line in tables if line.startswith(("| **mean** |", "| mixtures |"))]


def test_an_unknown_ablation(study, capsys):
    assert study("segmentation") == 2
    assert "argument ABLATION: invalid choice: 'segmentation'" in capsys.readouterr().err


def test_seeds_that_are_not_numbers(study, capsys):
    assert study("restoration", "--seeds", "0,first") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'first' is not a whole number" in line
