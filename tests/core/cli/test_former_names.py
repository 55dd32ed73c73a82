"""Command lines of today go on working: options that were renamed keep their former names until version 1.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autodir_core.cli import parse
from tests.core.cli.helpers import FAST, call, saved


@pytest.fixture
def picture(tmp_path) -> Path:
    return saved(tmp_path / "in" / "photo.png", height=144, width=260)


def results(folder: Path) -> dict[str, Any]:
    """The files of a run by name; of a report what does not depend on the clock."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir()}
    report = json.loads(found.pop("photo_restored.json"))
    del found["photo_restored.html"]  # which shows seconds
    return {**found, "report": report["settings"], "stopped": report["stopped"]}


@pytest.mark.parametrize(
    ("former", "current"),
    [
        (["--view", "centre"], ["--crops", "center"]),
        (["--view", "grid"], ["--crops", "grid"]),
        (["--threshold", "0.9"], ["--min-confidence", "0.9"]),
        (["--tile", "128"], ["--tile-size", "128"]),
    ],
)
def test_restore(former, current, picture, loaded, tmp_path):
    for folder, options in (("former", former), ("current", current)):
        assert call("restore", picture, "-o", f"{tmp_path / folder}/", "--report", "--quiet", *options, *FAST) == 0
    assert results(tmp_path / "former") == results(tmp_path / "current")


def test_former_names_do_not_spoil_abbreviations(picture, refused):
    assert parse(["restore", "x.png", "-o", "y.png", "--til", "128"]).tile_size == 128
    assert parse(["restore", "x.png", "--out", "y.png"]).output == "y.png"
    assert "unrecognized arguments: --vie" in refused("restore", picture, "-o", "o.png", "--vie", "grid")


def test_a_sheet_is_a_montage_under_its_former_name(picture, loaded, tmp_path):
    for option in ("--sheet", "--montage"):
        assert call("restore", picture, "-o", f"{tmp_path / 'out'}/", "--overwrite", "--quiet", option, *FAST) == 0
    sheet, montage = (tmp_path / "out" / f"photo_restored_{name}.png" for name in ("sheet", "montage"))
    assert sheet.read_bytes() == montage.read_bytes()


def test_evaluate():
    former = "--no-truth", "photos", "--view", "centre", "--threshold", "0.5"
    current = "--unpaired", "photos", "--assess-crops", "center", "--min-confidence", "0.5"
    assert parse(["evaluate", *former]) == parse(["evaluate", *current])


def test_crops_per_photo():
    for command in ("evaluate", "study"):
        shared = [command, "-o", "results"]
        assert parse([*shared, "--crops", "2"]) == parse([*shared, "--crops-per-photo", "2"])


@pytest.mark.parametrize("command", [["train", "mini"], ["teach", "fog", "--pairs", "photos"]])
def test_training(command):
    assert parse([*command, "--out", "o", "--share", "0.1"]) == parse([*command, "-o", "o", "--steps-scale", "0.1"])


def test_overwrite():
    shared = ["comfy", "run", "flow.json", "-o", "out"]
    assert parse([*shared, "--force"]) == parse([*shared, "--again"]) == parse([*shared, "--overwrite"])


def test_assess(picture, loaded, capsys):
    shown = []
    for options in (["--view", "grid"], ["--crops", "grid"], ["--view", "centre"], ["--crops", "center"], []):
        assert call("assess", picture, "--json", *options) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2] == shown[3] == shown[4]
