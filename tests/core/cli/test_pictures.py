"""Which picture goes to which file: folders, names, results that exist, and what is refused before the work."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.core.cli.helpers import FAST, call, names_in, pixels, saved


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        for i, name in enumerate(["a.jpg", "b.png", "c.bmp"]):
            saved(tmp_path / "in" / name, seed=i)
        return tmp_path / "in"

    def test_one_broken_picture_does_not_stop_the_others(self, folder, loaded, tmp_path, capsys):
        (folder / "b.png").write_text("no picture")
        assert call("restore", folder, "-o", tmp_path / "out", "--quiet", *FAST) == 1
        assert names_in(tmp_path / "out") == ["a_restored.jpg", "c_restored.png"]
        shown = capsys.readouterr().err.splitlines()
        assert len(shown) == 2
        assert "b.png is not a picture" in shown[0]
        assert shown[1] == "autodir: 1 of 3 pictures failed"

    def test_a_second_run_does_what_is_missing(self, folder, loaded, tmp_path, capsys):
        out = tmp_path / "out"
        out.mkdir()
        (out / "a_restored.jpg").write_text("kept")
        assert call("restore", folder, "-o", out, *FAST) == 0
        assert (out / "a_restored.jpg").read_text() == "kept"
        shown = capsys.readouterr().out
        assert "a.jpg: skipped" in shown and "settings" in shown and "--overwrite does it again" in shown
        assert len(names_in(out)) == 3

    def test_nothing_is_loaded_where_nothing_is_missing(self, picture, tmp_path, monkeypatch):
        monkeypatch.setattr("autodir_core.model.load_autodir", None)
        (tmp_path / "photo_restored.png").write_text("kept")
        assert call("restore", picture, "-o", tmp_path) == 0

    def test_overwrite(self, folder, loaded, tmp_path):
        (tmp_path / "a_restored.jpg").write_text("old")
        assert call("restore", folder / "a.jpg", "-o", tmp_path, "--overwrite", "--quiet", *FAST) == 0
        assert pixels(tmp_path / "a_restored.jpg").shape == (48, 64, 3)

    def test_each_picture_gives_what_it_gives_alone(self, folder, loaded, tmp_path):
        assert call("restore", folder, "-o", tmp_path / "all", "--quiet", *FAST) == 0
        assert call("restore", folder / "b.png", "-o", tmp_path / "b.png", "--quiet", *FAST) == 0
        assert np.array_equal(pixels(tmp_path / "all" / "b_restored.png"), pixels(tmp_path / "b.png"))

    def test_results_that_would_share_a_name(self, folder, refused, tmp_path):
        saved(folder / "a.png")  # a_restored.png and a_restored.jpg differ, their reports do not
        assert "a_restored.json" in refused("restore", folder, "-o", tmp_path / "out", "--report", *FAST)

    def test_names_that_become_alike_keep_their_suffixes(self, folder, loaded, tmp_path):
        saved(folder / "c.png"), saved(folder / "c.gif")
        assert call("restore", folder, "-o", tmp_path / "out", "--quiet", *FAST) == 0
        results = [name for name in names_in(tmp_path / "out") if name.startswith("c")]
        assert results == ["c.bmp_restored.png", "c.gif_restored.png", "c_restored.png"]

    def test_results_among_the_inputs(self, folder, refused):
        saved(folder / "b_restored.png")
        assert "is an input" in refused("restore", folder, "-o", folder, *FAST)

    def test_several_pictures_need_a_folder(self, folder, refused, tmp_path):
        assert "need a folder" in refused("restore", folder, "-o", tmp_path / "out.png", *FAST)

    def test_names_that_are_no_utf_8_or_as_long_as_can_be(self, folder, loaded, tmp_path):
        odd, long = os.fsdecode(b"caf\xe9"), "l" * 251
        (folder / "a.jpg").rename(folder / f"{odd}.jpg")
        (folder / "b.png").rename(folder / f"{long}.png")
        extras = "--report", "--montage", "--save-rounds", "--quiet"
        assert call("restore", folder, "-o", tmp_path / "out", *extras, *FAST) == 0
        names = names_in(tmp_path / "out")
        assert f"{odd}_restored.jpg" in names and f"{odd}_restored.html" in names
        assert 3 * len([name for name in names if name.startswith("l" * 200)]) == len(names)
        told = json.loads((tmp_path / "out" / f"{odd}_restored.json").read_text(encoding="utf-8"))
        assert (told["input"], told["output"]) == (f"{odd}.jpg", f"{odd}_restored.jpg")

    def test_wildcards_where_the_shell_leaves_them(self, folder, loaded, tmp_path):
        assert call("restore", folder / "*.png", "-o", tmp_path / "out", "--quiet", *FAST) == 0
        assert names_in(tmp_path / "out") == ["b_restored.png"]


class TestRefusals:
    """Each is one line, and comes before a model is loaded: the default model is never reached."""

    @pytest.fixture(autouse=True)
    def no_model(self, monkeypatch):
        monkeypatch.setattr("autodir_core.model.load_autodir", None)

    def test_no_such_file(self, refused, picture, tmp_path):
        gone = tmp_path / "gone.png"
        assert "gone.png does not exist" in refused("restore", gone, "-o", tmp_path / "o.png")
        assert "gone.png does not exist" in refused("assess", picture, gone)

    def test_a_text_named_png(self, refused, tmp_path):
        (tmp_path / "text.png").write_text("hello")
        assert "is not a picture" in refused("restore", tmp_path / "text.png", "-o", tmp_path / "o.png")

    @pytest.mark.parametrize("output", ["blocked", "blocked/sub", "blocked/o.png"])
    def test_a_place_that_cannot_be_written(self, refused, picture, tmp_path, output):
        (tmp_path / "blocked").write_text("a file, not a folder")
        assert "cannot write into" in refused("restore", picture, "-o", tmp_path / output)

    def test_an_unknown_suffix(self, refused, picture, tmp_path):
        assert "unknown suffix '.docx'" in refused("restore", picture, "-o", tmp_path / "o.docx")

    def test_a_film(self, refused, tmp_path):
        (tmp_path / "short.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(400))
        for command in ("restore", "-o", tmp_path), ("restore", "-o", tmp_path / "x.mp4"), ("assess",):
            assert "the command batch restores and assesses films" in refused(*command, tmp_path / "short.mp4")

    def test_existing_results(self, refused, picture, tmp_path):
        (tmp_path / "o.png").write_text("kept")
        (tmp_path / "p.json").write_text("kept")
        assert "o.png exists" in refused("restore", picture, "-o", tmp_path / "o.png")
        assert "p.json exists" in refused("restore", picture, "-o", tmp_path / "p.png", "--report")
        assert (tmp_path / "o.png").read_text() == "kept"

    def test_the_input_as_output(self, refused, picture):
        assert "is an input" in refused("restore", picture, "-o", picture, "--overwrite")

    def test_a_mask_that_is_missing(self, refused, picture, tmp_path):
        output = "-o", tmp_path / "o.png"
        gone = tmp_path / "gone.png"
        assert f"the mask {gone} does not exist" in refused("restore", picture, *output, "--mask", gone)
        saved(tmp_path / "masks" / "other.png")
        assert "needs one mask named photo.*, it has 0" in refused(
            "restore", picture, *output, "--mask", tmp_path / "masks"
        )

    def test_a_sample_that_is_missing(self, refused, tmp_path, monkeypatch):
        monkeypatch.setattr("autodir_core.cli.restore.SAMPLE", tmp_path / "sample.png")
        assert "give a picture" in refused("restore", "-o", tmp_path / "o.png")

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--steps", "0"),
            ("--max-rounds", "x"),
            ("--sampler", "ddim"),
            ("--text-guidance", "nan"),
            ("--text-guidance", "-1"),
            ("--image-guidance", "21"),
            ("--scm-weight", "-3"),
            ("--seed", "-1"),
            ("--seed", 2**64),
            ("--tile-size", "64"),
            ("--crops", "whole"),
            ("--min-confidence", "50"),
        ],
    )
    def test_values_that_make_no_sense(self, refused, picture, tmp_path, option, value):
        line = refused("restore", picture, "-o", tmp_path / "o.png", option, value)
        assert f"argument {option}" in line
        assert line.endswith("see python -m autodir_core restore --help")

    def test_labels_with_a_prompt(self, refused, picture, tmp_path):
        options = "--prompt", "brighten it", "--labels", "noise"
        assert "--prompt replaces the assessment" in refused("restore", picture, "-o", tmp_path / "o.png", *options)

    def test_no_command_and_no_output(self, refused, picture):
        assert "COMMAND" in refused()
        assert "-o/--output" in refused("restore", picture)
