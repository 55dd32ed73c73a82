"""The command `study` as its user meets it; the studies themselves are tested beside."""

from __future__ import annotations

import json

import pytest

from autodir_core.cli import main
from autodir_lab.ablations.restoration import Gain
from autodir_lab.cli import study


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The studies that were run, in order; each gives one number."""
    order: list[str] = []

    def stand_in(name):
        def run(arguments, photos, folder):
            order.append(name)
            return f"the table of {name}, {len(photos)} photos", [Gain(0, "noise", "blended", 1.5)]

        return run

    for name in ("recognition", "restoration"):
        monkeypatch.setattr(study, name, stand_in(name))
    monkeypatch.setattr("autodir_lab.evaluation.photos.natural_photos", lambda: {"one": None})
    return order


def test_one_command_runs_both_studies(asked, tmp_path, capsys):
    assert main(["study", "-o", str(tmp_path)]) == 0
    assert asked == ["recognition", "restoration"]
    assert capsys.readouterr().out.splitlines() == [f"the table of {name}, 1 photos" for name in asked]
    for name in asked:
        assert (tmp_path / f"{name}.md").read_text(encoding="utf-8") == f"the table of {name}, 1 photos\n"
        assert json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))[0]["decibels"] == 1.5


def test_one_of_them(asked, tmp_path):
    assert main(["study", "restoration", "-o", str(tmp_path), "--quiet"]) == 0
    assert asked == ["restoration"]
    assert {path.name for path in tmp_path.iterdir()} == {"restoration.md", "restoration.json"}


def test_seeds_that_are_no_numbers(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("autodir_lab.evaluation.photos.natural_photos", lambda: {"one": None})
    monkeypatch.setattr(study, "load_model", lambda arguments: None)
    assert main(["study", "restoration", "-o", str(tmp_path), "--seeds", "0,first"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "whole numbers" in line and "first" in line
