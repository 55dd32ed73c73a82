"""The command `evaluate` from its options to its files, with the tiny golden model."""

from __future__ import annotations

import json
import os
import sys

import pytest

from autodir_core.cli import main
from autodir_core.imaging.files import write_picture
from autodir_lab.evaluation import run as imported_before_a_fixture_replaces_what_it_imports  # noqa: F401
from autodir_lab.evaluation.evaluator import Evaluator

FAST = ("--steps", "1", "--max-rounds", "1", "--device", "cpu", "--no-lpips")
CLEAN = ("--crops-per-photo", "1", "--size", "48")


@pytest.fixture
def photos(tmp_path, random_image):
    write_picture(tmp_path / "photos" / "one.png", random_image(0))
    return tmp_path / "photos"


@pytest.fixture
def evaluate(tiny, monkeypatch):
    """Run the command with the tiny model already loaded; return the exit code."""
    monkeypatch.setattr("autodir_core.model.load_autodir", lambda *chosen, **options: tiny)
    return lambda *arguments: main(["evaluate", *FAST, *map(str, arguments)])


@pytest.fixture
def refused(evaluate, capsys):
    """Run a command that must end with one line of error; return the line."""

    def run(*arguments: object) -> str:
        assert evaluate(*arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


def read_json(folder) -> dict:
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))


def test_clean_photos(evaluate, photos, tmp_path, capsys):
    assert evaluate(photos, *CLEAN, "-o", tmp_path / "out") == 0
    assert "| noise | 1 |" in capsys.readouterr().out
    content = read_json(tmp_path / "out")
    assert len(content["results"]) == 8 and content["protocol"]["seed"] == 2024
    assert len(content["sha256"]) == 64 and set(content["versions"]) >= {"autodir", "torch", "diffusers", "open_clip"}
    first = (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8").partition("\n")[0]
    assert "1 photo, 1 crop of 48 pixels each, severity 0.5, 1 step, seed 2024, float32 on cpu" in first


def test_a_confidence_of_one_leaves_every_picture_alone(evaluate, photos, tmp_path):
    out = tmp_path / "out"
    assert evaluate(photos, *CLEAN, "--min-confidence", "1", "--assess-crops", "grid", "-o", out) == 0
    assert {result["stopped"] for result in read_json(out)["results"]} <= {"low_confidence", "clean"}
    assert not any(result["rounds"] or result["mean_abs_diff"] for result in read_json(out)["results"])
    assert "1 step, assessed crops grid, min confidence 1, seed 2024" in (out / "evaluation.md").read_text(
        encoding="utf-8"
    )
    assert evaluate(photos, *CLEAN, "--min-confidence", "1", "-o", out) == 2, "that is another setting"


def test_a_second_run_measures_only_what_is_new(evaluate, photos, tmp_path, monkeypatch):
    out, calls, measure = tmp_path / "out", [], Evaluator.measure
    monkeypatch.setattr(
        Evaluator, "measure", lambda self, sample, pair: calls.append(sample) or measure(self, sample, pair)
    )
    assert evaluate(photos, *CLEAN, "-o", out) == 0
    before = read_json(out)["results"]
    assert evaluate(photos, *CLEAN, "-o", out) == 0 and len(calls) == 8
    assert read_json(out)["results"] == before
    assert evaluate(photos, *CLEAN, "-o", out, "--mixtures", "--assess-only") == 2, "that is another setting"
    assert evaluate(photos, *CLEAN, "-o", out, "--mixtures") == 0 and len(calls) == 8 + 21
    assert read_json(out)["results"][:8] == before


def test_a_report_without_its_results_is_replaced_with_a_word(evaluate, photos, tmp_path, capsys):
    assert evaluate("--unpaired", photos, "-o", tmp_path / "out") == 0
    (tmp_path / "out" / "results.jsonl").rename(tmp_path / "out" / "cases.jsonl")
    assert "measured again" not in capsys.readouterr().err
    assert evaluate("--unpaired", photos, "-o", tmp_path / "out") == 0
    assert "holds a report without results.jsonl: every sample is measured again" in capsys.readouterr().err


def test_an_interrupted_run_loses_nothing(evaluate, photos, tmp_path, monkeypatch):
    out, measure = tmp_path / "out", Evaluator.measure

    def interrupted(self, sample, pair):
        if sample.labels == ("haze",):
            raise KeyboardInterrupt
        return measure(self, sample, pair)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "measure", interrupted)
        assert evaluate(photos, *CLEAN, "-o", out) == 130
    assert len((out / "results.jsonl").read_text().splitlines()) == 1 + 4
    assert evaluate(photos, *CLEAN, "-o", out) == 0
    assert len(read_json(out)["results"]) == 8


def test_a_range_of_severities_and_classical_methods(evaluate, photos, tmp_path, capsys):
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    assert evaluate(photos, *CLEAN, "--severity", "0.2:0.9", "--baselines", "-o", tmp_path / "out") == 0
    assert "| haze | dark channel |" in capsys.readouterr().out
    results = read_json(tmp_path / "out")["results"]
    assert len({result["severity"] for result in results if result["severity"]}) == 7
    assert [list(result["baselines"]) for result in results][3] == ["gamma", "CLAHE"]


def test_pairs_with_a_label(evaluate, photos, random_image, tmp_path, capsys):
    write_picture(tmp_path / "bad" / "one.png", random_image(1))
    arguments = ("--pairs", tmp_path / "bad", photos, "--label", "haze")
    assert evaluate(*arguments) == 0
    shown = capsys.readouterr().out
    assert "1 pair, 1 step," in shown and "| haze | 1 |" in shown


def test_pairs_without_a_label(evaluate, photos, random_image, tmp_path, capsys):
    write_picture(tmp_path / "bad" / "one.png", random_image(1))
    assert evaluate("--pairs", tmp_path / "bad", photos, "--size", "40") == 0
    shown = capsys.readouterr().out
    assert "1 pair, their central 40 pixels" in shown and "PSNR before" in shown and "Confusion" not in shown


def test_one_bad_photo_costs_no_other(evaluate, photos, random_image, tmp_path, capsys):
    (photos / "broken.png").write_text("no picture")
    write_picture(photos / "small.png", random_image(1, 40))
    for _ in range(2):
        assert evaluate(photos, *CLEAN, "-o", tmp_path / "out", "--quiet") == 1
        first, second, last = capsys.readouterr().err.splitlines()
        assert "broken.png is not a picture" in first and "small.png is 40x40; crops of 48" in second
        assert last == "autodir: 2 left out, see above; the numbers are of the others"
    assert "1 photo, 1 crop of 48 pixels each, severity 0.5, 2 left out" in read_json(tmp_path / "out")["headline"]


def test_one_bad_pair_costs_no_other(evaluate, photos, random_image, tmp_path, capsys):
    for seed, name in enumerate(["one", "sizes", "broken", "alone"]):
        write_picture(tmp_path / "bad" / f"{name}.png", random_image(seed))
    write_picture(photos / "sizes.png", random_image(1, 70))
    (photos / "broken.png").write_text("no picture")
    for _ in range(2):
        assert evaluate("--pairs", tmp_path / "bad", photos, "-o", tmp_path / "out") == 1
        shown = capsys.readouterr()
        assert "1 pair, 3 left out, 1 step" in shown.out
        for reason in (
            "sizes.png is 64x64, its reference",
            "broken.png is not a picture",
            "alone.png has no reference",
        ):
            assert reason in shown.err
    assert len(read_json(tmp_path / "out")["results"]) == 1


def test_one_that_memory_does_not_hold_costs_no_other(evaluate, photos, random_image, capsys, monkeypatch):
    write_picture(photos / "two.png", random_image(1))
    measure, calls = Evaluator.measure, []

    def limited(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise MemoryError
        return measure(*arguments)

    monkeypatch.setattr(Evaluator, "measure", limited)
    assert evaluate("--unpaired", photos) == 1
    shown = capsys.readouterr()
    assert (
        "1 unpaired photo, 1 left out" in shown.out and "one.png does not fit into the memory of the cpu" in shown.err
    )


def test_with_nothing_left_there_is_one_error(evaluate, photos, tmp_path, capsys):
    (photos / "one.png").write_text("no picture")
    assert evaluate(photos, *CLEAN) == 2
    assert "no photo in" in capsys.readouterr().err.splitlines()[-1]
    assert evaluate("--unpaired", photos) == 2
    assert "can be measured" in capsys.readouterr().err.splitlines()[-1]


def test_names_that_are_no_utf_8(evaluate, photos, tmp_path):
    odd = os.fsdecode(b"caf\xe9")
    (photos / "one.png").rename(photos / f"{odd}.png")
    for _ in range(2):
        assert evaluate(photos, *CLEAN, "-o", tmp_path / "out", "--quiet") == 0
    assert {result["photo"] for result in read_json(tmp_path / "out")["results"]} == {odd}
    assert b"caf\\udce9" in (tmp_path / "out" / "evaluation.csv").read_bytes()


def test_unpaired_photos(evaluate, photos, tmp_path, capsys):
    assert evaluate("--unpaired", photos, "-o", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    assert "1 unpaired photo" in shown and "PSNR" not in shown and "mean abs. difference" in shown
    assert (tmp_path / "out" / "report.html").is_file() and (tmp_path / "out" / "worst.png").is_file()


def test_contradictory_options_are_refused(refused, photos):
    assert "give one of" in refused(photos, "--unpaired", photos)
    assert "once for each" in refused(photos, "--label", "haze")
    assert "unknown label 'fog'" in refused("--pairs", photos, photos, "--label", "fog")
    for option in (("--severity", "0.5"), ("--degrader", "families")):
        assert "--mixtures, --severity and --degrader are for clean photos" in refused("--unpaired", photos, *option)
    assert "--baselines compares restorations" in refused(photos, "--baselines", "--assess-only")
    assert "lower bound last" in refused(photos, "--severity", "0.9:0.1")
    assert "is not in 0..1" in refused(photos, "--severity", "0:2")
    assert "does not exist" in refused(photos / "nowhere")


def test_families_are_recorded_kind_by_kind(evaluate, photos, tmp_path, capsys):
    assert (
        evaluate(
            photos, "--crops", "3", "--size", "48", "--assess-only", "--degrader", "families", "-o", tmp_path / "o"
        )
        == 0
    )
    assert "degraded by families" in (tmp_path / "o" / "evaluation.md").read_text(encoding="utf-8")
    assert "### By kind" in capsys.readouterr().out
    results = read_json(tmp_path / "o")["results"]
    assert all(len(one["kinds"]) == (one["labels"] != ["no"]) for one in results)
    assert len({(*one["labels"], *one["kinds"]) for one in results}) > 12


def test_another_library_s_damage(evaluate, photos, tmp_path):
    pytest.importorskip("albumentations", reason="albumentations is not installed")
    assert evaluate(photos, *CLEAN, "--assess-only", "--degrader", "albumentations", "-o", tmp_path / "o") == 0
    content = read_json(tmp_path / "o")
    assert content["versions"]["albumentations"].startswith("2.")
    assert [one["kinds"] for one in content["results"] if one["labels"] == ["raindrop"]] == [["Spatter"]]


def test_a_missing_albumentations_is_one_line(refused, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    monkeypatch.delitem(sys.modules, "autodir_lab.evaluation.albumentations_kinds", raising=False)
    monkeypatch.delattr("autodir_lab.evaluation.albumentations_kinds", raising=False)
    line = refused(photos, *CLEAN, "--degrader", "albumentations")
    assert "albumentations cannot be imported" in line and "or choose another --degrader" in line
