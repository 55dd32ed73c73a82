"""`assess` as its user meets it."""

from __future__ import annotations

import io
import json

import pytest

from autodir_core.imaging.files import read_picture
from tests.core.cli.helpers import call, saved


def test_bars(picture, tiny_path, tiny, capsys):
    assert call("assess", picture, "--model", tiny_path, "--device", "cpu") == 0
    title, *bars = capsys.readouterr().out.splitlines()
    assessment = tiny.assess(read_picture(picture).image)
    assert title == str(picture)
    assert len(bars) == 8
    assert bars[0].startswith(f"  {assessment.top[0]}")
    assert bars[0].count("█") == round(30 * assessment.probabilities.max().item())


def test_json(picture, loaded, capsys):
    assert call("assess", picture, "--labels", "haze,no", "--json") == 0
    (seen,) = json.loads(capsys.readouterr().out)
    expected = loaded.assess(read_picture(picture).image, ["haze", "no"])
    assert seen["picture"] == str(picture)
    assert seen["top"] == expected.top[0]
    assert seen["probabilities"]["haze"] == pytest.approx(expected.probabilities[0, 0].item(), abs=1e-6)


def test_crops_are_those_of_the_api(loaded, tmp_path, capsys):
    large = saved(tmp_path / "large.png", height=230, width=300)
    assert call("assess", large, "--crops", "grid", "--json") == 0
    (seen,) = json.loads(capsys.readouterr().out)
    expected = loaded.assess(read_picture(large).image, crops="grid")
    found = [seen["probabilities"][label] for label in expected.labels]
    assert found == pytest.approx(expected.probabilities[0].tolist(), abs=1e-6)
    assert (seen["agreement"], seen["crops"]) == (round(expected.agreement[0], 4), 4)


def test_several_crops_say_how_far_they_agree(picture, loaded, tmp_path, capsys):
    large = saved(tmp_path / "large.png", height=230, width=300)
    assert call("assess", large, picture, "--crops", "grid") == 0
    agreeing, _ = loaded.assess(read_picture(large).image, crops="grid").agreeing[0]
    shown = [line for line in capsys.readouterr().out.splitlines() if "top label" in line]
    assert shown == [f"  top label of {agreeing} of 4 crops"], "the small one has one crop"


def test_labels_without_no_are_compared_with_each_other_alone(picture, loaded, capsys):
    assert call("assess", picture, "--labels", "low_resolution", "--json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)[0]["probabilities"] == {"low resolution": 1.0}
    assert 'warning: without "no" among --labels' in shown.err and len(shown.err.splitlines()) == 1


def test_a_broken_one_among_others(picture, loaded, capsys):
    (picture.parent / "bad.png").write_text("no")
    assert call("assess", picture.parent, "--json") == 1
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)) == 1
    assert "bad.png is not a picture" in shown.err


def test_a_terminal_of_few_characters(picture, loaded, monkeypatch):
    renamed = picture.rename(picture.with_name("写真.png"))
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr("sys.stdout", terminal)
    assert call("assess", renamed) == 0
    terminal.flush()
    shown = terminal.buffer.getvalue().decode("cp1252")
    assert "??.png" in shown
    assert "#####" in shown


def test_maps_go_into_a_folder(picture, refused):
    assert f"{picture} is a file; give a folder" in refused("assess", picture, "--map", picture)


def test_two_maps_of_one_name_are_refused(picture, refused, tmp_path):
    other = saved(tmp_path / "other" / "photo.jpg")
    assert "would both write" in refused("assess", picture, other, "--map", tmp_path / "maps")
