"""`bench` as its user meets it, with the tiny model."""

from __future__ import annotations

import json

import pytest
import torch

from autodir_core.cli import bench, measurement
from autodir_core.model import load_autodir
from tests.core.cli.helpers import call, names_in

SMALL = ("--size", "64x48", "--steps", "1", "--runs", "1", "--device", "cpu")
STAGES = ["load", "assess", "encode", "step", "decode", "correct", "round"]


def rows(folder) -> list[dict]:
    return json.loads((folder / "bench.json").read_text(encoding="utf-8"))["rows"]


def test_files(loaded, tmp_path, capsys):
    assert call("bench", *SMALL, "-o", tmp_path / "out") == 0
    assert names_in(tmp_path / "out") == ["bench.json", "bench.md"]
    table = (tmp_path / "out" / "bench.md").read_text(encoding="utf-8")
    shown = capsys.readouterr()
    assert table in shown.out
    assert "64x48 encode ..." in shown.err
    assert [line.split(" | ")[1] for line in table.splitlines()[6:]] == STAGES

    report = json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8"))
    assert report["interrupted"] is False
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["cpu"] and report["machine"]["torch"] == torch.__version__
    assert report["settings"]["steps"] == report["settings"]["runs"] == 1
    assert [row["stage"] for row in report["rows"]] == STAGES
    for row in report["rows"]:
        for spread in (row["seconds"], row["cpu_seconds"]):
            assert 0 < spread["min"] <= spread["median"] <= spread["max"] or row["stage"] == "load"
        assert row["peak_bytes"] is None or row["peak_bytes"] >= 0
    assert [(row["width"], row["height"]) for row in report["rows"]] == [(None, None), *[(64, 48)] * 6]
    last = report["rows"][-1]
    assert last["note"] == "restored noise"
    assert last["megapixels_per_second"] == pytest.approx(64 * 48 / 1e6 / last["seconds"]["median"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"preset": "best", "steps": 12, "tiles": "chosen by memory", "note": "restored noise"}),
        (("--preset", "fast", "--tile-size", 128), {"preset": "fast", "steps": 4, "tiles": 128}),
        (("--label", "Low_resolution", "--steps", 2), {"steps": 2, "note": "restored low resolution"}),
    ],
)
def test_the_round_is_that_of_the_options(loaded, tmp_path, options, expected):
    assert call("bench", "--size", "140x64", "--runs", 1, "--device", "cpu", "-o", tmp_path, *options) == 0
    report = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    found = report["settings"] | {"note": report["rows"][-1]["note"]}
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("label", ["no", "snow"])
def test_a_label_that_cannot_be_restored(loaded, capsys, label):
    assert call("bench", *SMALL, "--label", label) == 2
    assert f"error: unknown label '{label}'; this model knows: noise, blur" in capsys.readouterr().err.splitlines()[-1]


def test_tiles_are_those_of_the_option(monkeypatch, loaded, tmp_path):
    sizes, encode = [], loaded.networks.vae.encode
    monkeypatch.setattr(
        loaded.networks.vae, "encode", lambda x, **options: sizes.append(max(x.shape[-2:])) or encode(x, **options)
    )
    assert call("bench", "--size", "300x64", *SMALL[2:], "--tile-size", 128) == 0
    assert max(sizes) == 128


def test_existing_results_are_refused(refused, loaded, tmp_path):
    (tmp_path / "bench.md").touch()
    assert "bench.md exists" in refused("bench", *SMALL, "-o", tmp_path)


@pytest.mark.parametrize("size", ["512", "512x", "0x64", "64x64x64", "wide"])
def test_a_size_spelled_wrongly(refused, size):
    assert f"'{size}' is not a size such as 1024x768" in refused("bench", "--size", "64x64", size)


def test_nothing_is_written_before_there_is_a_figure(tmp_path, capsys):
    assert call("bench", *SMALL, "-o", tmp_path / "out", "--model", tmp_path / "nothing.ckpt") == 2
    shown = capsys.readouterr()
    assert "nothing.ckpt does not exist" in shown.err.splitlines()[-1]
    assert not shown.out
    assert names_in(tmp_path / "out") == []


def stop_at(monkeypatch, tiny, error):
    """The tiny model's decoder ends with `error`."""

    def decode(*arguments, **options):
        raise error

    monkeypatch.setattr(tiny, "decode", decode, raising=False)


def test_an_interrupted_run_keeps_its_rows(monkeypatch, loaded, tmp_path, capsys):
    stop_at(monkeypatch, loaded, KeyboardInterrupt())
    assert call("bench", *SMALL, "-o", tmp_path) == 130
    assert [row["stage"] for row in rows(tmp_path)] == STAGES[:4]
    shown = capsys.readouterr().out
    assert "(interrupted)" in shown
    assert "| 64x48 | step |" in shown


def test_memory_that_does_not_hold_a_size(monkeypatch, loaded, tmp_path):
    stop_at(monkeypatch, loaded, torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert call("bench", *SMALL, "--size", "64x64", "64x48", "-o", tmp_path) == 1
    found = rows(tmp_path)
    assert [row["stage"] for row in found] == ["load", *STAGES[1:5] * 2]
    assert [row["note"] for row in found if row["seconds"] is None] == ["not enough memory"] * 2


def test_other_errors_are_not_hidden(monkeypatch, loaded):
    stop_at(monkeypatch, loaded, RuntimeError("a mistake"))
    with pytest.raises(RuntimeError, match="a mistake"):
        call("bench", *SMALL)


def test_peak_memory_sees_what_a_call_took():
    memory = measurement.PeakMemory(torch.device("cpu"))
    if not memory.can_reset:
        pytest.skip("the system does not let a process reset its peak")
    torch.ones(16_000_000)
    assert memory.peak() > 50e6
    memory.reset()
    assert memory.peak() < 50e6


def test_the_picture_is_always_the_same_and_has_structure():
    picture = measurement.draw_picture(96, 128)
    assert picture.shape == (1, 96, 128, 3)
    assert torch.equal(picture, measurement.draw_picture(96, 128))
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.std() > 0.1
    assert (picture[:, 1:] - picture[:, :-1]).abs().median() < 0.02, "mostly smooth, not noise"


def test_the_picture_looks_clean():
    """A picture in which a label shows would be benchmarked by that label's way."""
    assert load_autodir(device="cpu").assess(measurement.draw_picture(300, 400)).top == ("no",)


@pytest.mark.parametrize(("value", "text"), [(0.01234, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")])
def test_numbers(value, text):
    assert bench.number_text(value) == text
