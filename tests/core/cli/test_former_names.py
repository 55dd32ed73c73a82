"""Command lines of today go on working: options that were renamed keep their former names until version 1.0."""

from __future__ import annotations

from pathlib import Path

import pytest

from autodir_core.cli import parse
from tests.core.cli.helpers import FAST, call, saved


@pytest.fixture
def picture(tmp_path) -> Path:
    return saved(tmp_path / "in" / "photo.png", height=144, width=260)


@pytest.mark.parametrize(
    ("former", "current"),
    [
        (["--view", "centre"], ["--crops", "center"]),
        (["--view", "grid"], ["--crops", "grid"]),
        (["--threshold", "0.9"], ["--min-confidence", "0.9"]),
        (["--tile", "128"], ["--tile-size", "128"]),
    ],
)
def test_restore(former, current):
    shared = ["restore", "x.png", "-o", "y.png"]
    assert parse([*shared, *former]) == parse([*shared, *current])


def test_former_names_do_not_spoil_abbreviations(picture, refused):
    assert parse(["restore", "x.png", "-o", "y.png", "--til", "128"]).tile_size == 128
    assert parse(["restore", "x.png", "--out", "y.png"]).output == "y.png"
    assert "unrecognized arguments: --vie" in refused("restore", picture, "-o", "o.png", "--vie", "grid")


def test_a_sheet_is_a_montage_under_its_former_name(loaded, tmp_path):
    picture = saved(tmp_path / "in" / "photo.png")
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
