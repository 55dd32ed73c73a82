"""The command: results as `restore` gives them, a table, a page, and a second run that goes on."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import autodir_core as ad
from autodir_core.batch.journal import OUTCOME, Journal
from autodir_core.batch.report import render_batch, write_reports
from autodir_core.checkpoint.reader import open_state_dict
from autodir_core.cli import main
from autodir_core.cli.pictures import Job
from autodir_core.cli.restorer import Restorer, untouched
from autodir_core.imaging.files import Picture, read_picture, write_picture
from autodir_core.imaging.formats.deep_tiff import read_floats, write_floats
from autodir_core.imaging.formats.metadata import Metadata

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = ["--steps", "1", "--max-rounds", "1", "--no-gate", "--device", "cpu", "--quiet"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three noisy pictures in two folders, and a broken one."""
    generator = torch.Generator().manual_seed(0)
    for name in ("a/1.png", "a/2.jpg", "b/1.png"):
        write_picture(tmp_path / "in" / name, torch.rand(1, 40, 56, 3, generator=generator))
    (tmp_path / "in/b/broken.png").write_bytes(b"no picture")
    return tmp_path / "in"


def table(output: Path) -> dict[str, dict[str, str]]:
    with (output / "batch.csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_results_are_those_of_restore(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    model = ["--model", str(tiny_path)]
    assert main(["batch", str(folder), "-o", str(output), *OPTIONS, *model]) == 1
    assert "broken.png" in capsys.readouterr().err
    for name in ("a/1.png", "a/2.jpg", "b/1.png"):
        one = tmp_path / f"one{Path(name).suffix}"
        assert main(["restore", str(folder / name), "-o", str(one), "--overwrite", *OPTIONS, *model]) == 0
        assert (output / name).read_bytes() == one.read_bytes()
    rows = table(output)
    assert rows["b/broken.png"]["state"] == "failed" and "broken.png" in rows["b/broken.png"]["error"]
    page = (output / "batch.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2 * sum(row["state"] == "done" for row in rows.values()) and "broken.png" in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")


def test_a_second_run_does_what_is_left(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    command = ["batch", str(folder), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    assert main([*command, "--limit", "1"]) == 0
    first = (tmp_path / "out/a/1.png").stat().st_ino
    write_picture(folder / "b/broken.png", torch.rand(1, 20, 20, 3))
    assert main(command) == 0
    assert len(table(tmp_path / "out")) == 4 and (tmp_path / "out/a/1.png").stat().st_ino == first


def test_other_settings_in_the_same_folder(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["batch", str(folder), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    main([*command, "--limit", "1"])
    assert main([*command, "--seed", "5"]) == 2
    assert "--seed 0, now 5" in capsys.readouterr().err


def test_assess_only_writes_a_table_and_no_picture(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    output = tmp_path / "out"
    main(["batch", str(folder), "-o", str(output), "--assess-only", *OPTIONS, "--model", str(tiny_path)])
    rows = table(output)
    found = {label: float(rows["a/1.png"][label]) for label in ("noise", "no", "haze")}
    assert rows["a/1.png"]["decision"] and 0 < sum(found.values()) <= 1
    assert not list(output.rglob("*.png")) and not (output / "batch.html").exists()


def test_a_table_of_grids_says_how_far_the_crops_agree(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    """Of those that have several."""
    write_picture(folder / "a/large.png", torch.rand(1, 300, 300, 3))
    given = ["batch", str(folder / "a"), "-o", str(tmp_path / "out"), "--assess-only", "--crops", "grid"]
    assert main([*given, *OPTIONS, "--model", str(tiny_path)]) == 0
    rows = table(tmp_path / "out")
    assert 0 < float(rows["large.png"]["agreement"]) <= 1 and rows["1.png"]["agreement"] == ""
    assert list(rows["1.png"])[-5:-2] == ["underexposure", "agreement", "seconds"]


def test_a_dry_run_does_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", str(folder), "-o", str(tmp_path / "out"), "--dry-run", "--format", "webp"]) == 0
    out = capsys.readouterr().out
    assert out.count("->") == 4 and "1.webp" in out and out.endswith("4 pictures\n")
    assert not (tmp_path / "out").exists()


def test_a_dry_run_tells_what_is_not_there(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text("in/a/1.png\nin/gone.png\n")
    assert main(["batch", str(tmp_path / "list.txt"), "-o", str(tmp_path / "out"), "--dry-run"]) == 1
    told = capsys.readouterr()
    assert told.out.count("->") == 1 and "gone.png does not exist" in told.err


def test_what_is_only_assessed_has_its_own_name(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    """Not that of a result, which would be a PNG."""
    Image.new("RGB", (40, 40)).save(folder / "a/1.bmp")
    output = tmp_path / "out"
    main(["batch", str(folder / "a"), "-o", str(output), "--assess-only", *OPTIONS, "--model", str(tiny_path)])
    assert sorted(table(output)) == ["1.bmp", "1.png", "2.jpg"]


def test_a_dry_run_refuses_what_the_run_would(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of others, other settings, another OUT; it writes nothing, the journal included."""
    out, other = tmp_path / "out", tmp_path / "other"
    command = ["batch", str(folder / "a"), *OPTIONS, "--model", str(tiny_path), "-o"]
    assert main([*command, str(out)]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write_picture(other / "2.jpg", torch.rand(1, 4, 4, 3))
    for given, words in (
        ([str(other)], f"{other / '2.jpg'} would be replaced"),
        ([str(out), "--seed", "5"], "--seed 0, now 5"),
        ([str(other), "--journal", str(out), "--overwrite"], f"the journal in {out} is that of the results in {out};"),
    ):
        assert main([*command, *given, "--dry-run"]) == 2 and words in capsys.readouterr().err
    assert main([*command, str(out), "--dry-run"]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before and len(list(other.iterdir())) == 1


def test_an_empty_part_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", str(folder), "-o", str(tmp_path / "out"), "--shard", "9/9"]) == 0
    assert "part 9 of 9 is empty: of 4 pictures none is in it" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_killed_at_any_moment_it_goes_on(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    """Three kills at growing times, then the end: every result is there once and whole, and nothing else."""
    options = [str(folder), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    for wait in (1.5, 3.0, 4.5):
        process = subprocess.Popen(
            [sys.executable, "-m", "autodir_core", "batch", *options], cwd=ROOT, stderr=subprocess.DEVNULL
        )
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert main(["batch", *options]) == 1
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["a/1.png", "a/2.jpg", "b/1.png", "batch.csv", "batch.html", "batch.sqlite"]
    assert main(["batch", str(folder), "-o", str(tmp_path / "whole"), *OPTIONS, "--model", str(tiny_path)]) == 1
    for name in ("a/1.png", "a/2.jpg", "b/1.png"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_processes_end_with_the_one_that_began_them(tmp_path: Path) -> None:
    """Else they would go on where nobody sees it."""
    (tmp_path / "begin.py").write_text(
        "import time\n"
        "from autodir_core.batch.workers.processes import run_processes, end_with_parent\n"
        "def work(device):\n"
        "    end_with_parent()\n"
        "    print(device, flush=True)\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    run_processes(work, ['cpu', 'cpu'], lambda: None)\n"
    )
    own = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, tmp_path / "begin.py"], stdout=subprocess.PIPE, text=True, env=own
    ) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline() for _ in range(2)] == ["cpu\n", "cpu\n"]
        parent.kill()
        assert parent.communicate(timeout=60)[0] == "", "nobody holds the other end any more"


def test_several_devices_share_the_work(
    folder: Path, tmp_path: Path, tiny_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two processes, each with a model of its own: every picture once, with the bits of a single process."""
    one, two = tmp_path / "one", tmp_path / "two"
    options = [*(option for option in OPTIONS if option not in ("--device", "cpu")), "--model", str(tiny_path)]
    assert main(["batch", str(folder), "-o", str(one), *options, "--device", "cpu"]) == 1
    assert capfd.readouterr().err.count("broken.png") == 1
    assert main(["batch", str(folder), "-o", str(two), *options, "--devices", "cpu,cpu:0"]) == 1
    assert capfd.readouterr().err.count("broken.png") == 1
    for name in ("a/1.png", "a/2.jpg", "b/1.png"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert [row["state"] for row in table(two).values()] == [row["state"] for row in table(one).values()]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--devices cpu,nonsense", "device 'nonsense' cannot be used"),
        ("--devices cpu --device cpu", "leave one of them out"),
        ("--device nonsense", "device 'nonsense' cannot be used"),
        ("--workers 2", "--ray is not given"),
        ("--labels fog", "fog"),
        ("--candidates 3 --no-gate", "3 candidates need the gate, which takes the best; turn it on"),
        ("--preset paper --candidates 2", "candidates need the gate"),
        ("--prompt x --labels haze", "leave one of them out"),
        ("--keep-range --format png", "leave --format out"),
        ("--keep-range --depth 8", "leave --depth out"),
        ("--assess-only --format jpg", "--assess-only writes no pictures, which --format is for"),
        ("--assess-only --keep-range", "which --keep-range is for; leave it out"),
        ("--assess-only --strength 0.5", "which --strength is for; leave it out"),
        ("--assess-only --match-color adain", "which --match-color is for; leave it out"),
        ("--assess-only --no-blend", "which --blend is for; leave it out"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_what_is_refused_leaves_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, words: str, dry: list[str]
) -> None:
    """Above all no journal, which would hold OUT to options that never worked."""
    assert main(["batch", str(folder), "-o", str(tmp_path / "out"), *options.split(), *dry]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_weights_that_cannot_be_used_leave_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "none.safetensors"
    save_file({"odd": torch.zeros(1)}, weights)
    assert main(["batch", str(folder), "-o", str(tmp_path / "out"), "--model", str(weights)]) == 2
    assert "none.safetensors" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_page_shows_first_whose_edges_moved(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for name, changed, edges in (("a", 20.0, 0.9), ("b", 30.0, 0.7), ("c", 25.0, None)):
        write_picture(tmp_path / f"{name}.png", torch.rand(1, 8, 8, 3))
        verdict = {} if edges is None else {"verdict": {"accepted": True, "edges": edges}}
        facts = {"changed": changed, "rounds": [verdict]}
        own = {"name": f"{name}.png", "result": f"{name}.png", "source": str(tmp_path / f"{name}.png")}
        rows.append(own | {"state": "done", "decision": "noise", "facts": facts, "error": ""})
    page = render_batch(tmp_path, rows)
    by_change, by_edges = page.split("Edges moved most")
    assert re.findall(r"<h3>(\w)", by_change) == ["a", "c", "b"] and re.findall(r"<h3>(\w)", by_edges) == ["b", "a"]
    assert "b.png: noise, 30 dB from the input, edges 0.70 of 1" in by_edges
    assert re.search(r"main \{.*overflow-wrap: break-word", page)  # or a long name makes it wider than the window


def test_out_is_a_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").touch()
    (tmp_path / "circle").symlink_to("circle")
    for name, words in (
        ("out", "out is a file; give a folder"),
        ("out/below", "out is a file; give a folder"),
        ("circle", f"cannot write into {tmp_path / 'circle'}; choose another folder"),
        ("x" * 300, "File name too long; choose another output folder"),
    ):
        assert main(["batch", str(folder), "-o", str(tmp_path / name)]) == 2
        told = capsys.readouterr().err
        assert words in told and told.count("\n") == 1


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_journal_is_a_file_in_a_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], dry: list[str]
) -> None:
    """In a dry run too."""
    (tmp_path / "file").touch()
    (tmp_path / "out/batch.sqlite").mkdir(parents=True)
    for options, words in (
        (["-o", str(tmp_path / "new"), "--journal", str(tmp_path / "file")], "file is a file; give a folder"),
        (["-o", str(tmp_path / "out")], "batch.sqlite is a folder; move it, or choose another output folder"),
    ):
        assert main(["batch", str(folder), *options, *dry]) == 2 and words in capsys.readouterr().err


def test_a_picture_may_have_the_name_of_the_table(tmp_path: Path, tiny_path: Path) -> None:
    """Of a clean one no copy takes its place."""
    source = tmp_path / "batch.csv"
    Image.new("RGB", (40, 30), "gray").save(source, "PNG")
    clean = [*OPTIONS, "--model", str(tiny_path), "--labels", "no"]
    assert main(["batch", str(source), "-o", str(tmp_path / "out"), *clean]) == 0
    assert table(tmp_path / "out")["batch.png"]["result"] == "batch.png" and (tmp_path / "out/batch.png").is_file()


def test_files_of_others_are_not_replaced(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless that is asked for; what the batch made itself is no file of others, nor is a table of assessments."""
    mine = tmp_path / "out/a/2.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    command = ["batch", str(folder), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    assert main(command) == 2
    assert "2.jpg would be replaced, and is no result of this batch" in capsys.readouterr().err
    assert mine.read_bytes() == b"mine" and [path.name for path in (tmp_path / "out").iterdir()] == ["a"], "no journal"
    (tmp_path / "table/batch.csv").parent.mkdir()
    (tmp_path / "table/batch.csv").touch()
    assert main(["batch", str(folder), "-o", str(tmp_path / "table"), *OPTIONS, "--model", str(tiny_path)]) == 2
    assert "batch.csv would be replaced" in capsys.readouterr().err
    (tmp_path / "out/batch.html").write_bytes(b"mine")
    assert main([*command, "--assess-only", "--limit", "2", "--journal", str(tmp_path / "other")]) == 0
    assert (tmp_path / "out/batch.html").read_bytes() == b"mine"
    assert main([*command, "--overwrite"]) == 1
    assert mine.read_bytes() != b"mine"
    assert main(command) == 1


@pytest.mark.parametrize("skip", [False, True])
def test_a_file_put_where_no_result_was_is_not_replaced(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str], skip: bool
) -> None:
    """Of a picture that failed, or that is clean and was left out."""
    source, out = folder / "a/1.png", tmp_path / "out"
    content = source.read_bytes()
    if not skip:
        source.write_bytes(b"broken")
    label = ["--labels", "no", "--skip-clean"] if skip else ["--labels", "noise"]
    command = ["batch", str(folder / "a"), "-o", str(out), *OPTIONS, "--model", str(tiny_path), *label]
    assert main(command) == (0 if skip else 1) and not (out / "1.png").exists()
    (out / "1.png").write_bytes(b"mine")
    assert main(command) == (0 if skip else 1), "it is not done again"
    if not skip:
        assert main([*command, "--retry-failed"]) == 2
    source.write_bytes(content + b"more")
    assert main(command) == 2 and (out / "1.png").read_bytes() == b"mine"
    assert "1.png would be replaced, and is no result of this batch" in capsys.readouterr().err


def test_another_folder_does_not_replace_results(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two cameras number alike; a folder that was moved is the same one, and its results stay."""
    other, out = tmp_path / "other", tmp_path / "out"
    write_picture(other / "1.png", torch.rand(1, 40, 56, 3))
    options = ["-o", str(out), *OPTIONS, "--model", str(tiny_path)]
    assert main(["batch", str(folder / "a"), *options]) == 0
    before = (out / "1.png").read_bytes()
    assert main(["batch", str(other), *options]) == 2
    assert f"1.png in the output folder is that of {folder / 'a/1.png'}" in capsys.readouterr().err
    assert (out / "1.png").read_bytes() == before and set(table(out)) == {"1.png", "2.jpg"}
    made = (out / "1.png").stat().st_ino
    assert main(["batch", str((folder / "a").rename(tmp_path / "moved")), *options]) == 0
    assert (out / "1.png").stat().st_ino == made and table(out)["1.png"]["source"] == str(tmp_path / "moved/1.png")
    assert main(["batch", str(other), *options, "--overwrite"]) == 0 and (out / "1.png").read_bytes() != before


@pytest.mark.parametrize("link", [False, True])
def test_a_file_put_into_out_during_the_run_is_not_replaced(
    folder: Path, tmp_path: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool
) -> None:
    """Nor a link to nowhere; once it is to be replaced, what failed is done."""
    mine, process = tmp_path / "out/2.jpg", Restorer.process

    def put(self: Restorer, *given: Any) -> Any:
        if not os.path.lexists(mine):
            mine.symlink_to(tmp_path / "nowhere") if link else mine.write_bytes(b"mine")
        return process(self, *given)

    command = ["batch", str(folder / "a"), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    with monkeypatch.context() as during:
        during.setattr(Restorer, "process", put)
        assert main(command) == 1
    assert mine.is_symlink() if link else mine.read_bytes() == b"mine"
    rows = table(tmp_path / "out")
    assert rows["1.png"]["state"] == "done" and rows["2.jpg"]["state"] == "failed"
    assert "2.jpg was put there during the run" in rows["2.jpg"]["error"]
    assert main(command) == 1, "what failed is not tried"
    assert main([*command, "--retry-failed"]) == 2, "before the work"
    assert main([*command, "--overwrite", "--retry-failed"]) == 0
    assert Image.open(mine).size == (56, 40) and not mine.is_symlink()


def test_a_file_put_there_after_an_interruption_is_not_replaced(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the names of pictures that were read ahead; what was moved into place, and not noted any more, is its own."""
    (folder / "b/broken.png").unlink()
    command = ["batch", str(folder), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    first, mine = tmp_path / "out/a/1.png", tmp_path / "out/b/1.png"

    def interrupted(*given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(Journal, "finish", interrupted)
        assert main([*command, "--labels", "noise"]) == 130
    assert first.is_file() and not mine.exists()
    write_picture(mine, torch.zeros(1, 4, 4, 3))
    before = mine.read_bytes()
    assert main([*command, "--labels", "noise"]) == 2 and mine.read_bytes() == before
    assert "b/1.png would be replaced, and is no result of this batch" in capsys.readouterr().err
    mine.unlink()
    assert main([*command, "--labels", "noise"]) == 0 and mine.is_file()


@pytest.mark.parametrize("skip", [[], ["--skip-clean"]])
def test_an_older_result_that_is_no_longer_true_is_removed(
    tmp_path: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch, skip: list[str]
) -> None:
    """A restored BMP is a PNG, a clean one a BMP, or left out; that of one that fails stays until there is another."""
    source, out, process = tmp_path / "c.bmp", tmp_path / "out", Restorer.process

    def leave_gray(self: Restorer, job: Job, picture: Picture, reporter: Any) -> Any:
        return process(self, job, picture, reporter) if picture.image.unique().numel() > 1 else untouched(picture.image)

    def results() -> list[str]:
        return sorted(path.name for path in out.glob("c.*"))

    monkeypatch.setattr(Restorer, "process", leave_gray)
    command = ["batch", str(source), "-o", str(out), *OPTIONS, "--model", str(tiny_path), *skip]
    Image.effect_noise((40, 30), 50).convert("RGB").save(source)
    assert main([*command, "--labels", "noise"]) == 0 and results() == ["c.png"]
    source.write_bytes(b"broken")
    assert main([*command, "--labels", "noise"]) == 1 and results() == ["c.png"]
    assert table(out)["c.png"]["result"] == ""
    Image.new("RGB", (40, 30), "gray").save(source)
    assert main([*command, "--labels", "noise"]) == 0 and results() == (["c.bmp"] if not skip else [])


def test_a_journal_is_that_of_one_folder_of_results(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows names alone: in another folder they would be those of files of others."""
    monkeypatch.chdir(tmp_path)
    command = ["batch", "in/a", *OPTIONS, "--model", str(tiny_path)]
    assert main([*command, "--journal", "kept", "-o", "one"]) == 0
    other = tmp_path / "two/1.png"
    other.parent.mkdir()
    other.write_bytes(b"mine")
    assert main([*command, "--journal", "kept", "-o", "two", "--overwrite"]) == 2
    told = capsys.readouterr().err
    assert f"the journal in kept is that of the results in {tmp_path / 'one'}" in told and told.count("\n") == 1
    assert other.read_bytes() == b"mine"
    assert main([*command, "--journal", "kept", "-o", "./one/"]) == 0


def test_an_out_that_was_refused_is_not_that_of_the_journal(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The right one is told by its own path, whatever link leads to the journal."""
    journal, out, wrong = tmp_path / "out/journal", tmp_path / "out", tmp_path / "wrong"
    command = ["batch", str(folder / "a"), *OPTIONS, "--model", str(tiny_path), "--journal", str(journal), "-o"]
    write_picture(wrong / "1.png", torch.rand(1, 4, 4, 3))
    assert main([*command, str(wrong)]) == 2 and "1.png would be replaced" in capsys.readouterr().err
    assert main([*command, str(out)]) == 0
    (tmp_path / "link").symlink_to(journal)
    assert main([*command, str(wrong), "--journal", str(tmp_path / "link")]) == 2
    assert f"is that of the results in {out}; give -o {out}," in capsys.readouterr().err


def test_a_journal_begun_before_its_out_was_noted(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    """Other settings are refused before the OUT is noted."""
    command = ["batch", str(folder / "a"), *OPTIONS, "--model", str(tiny_path), "--journal", str(tmp_path / "kept")]
    assert main([*command, "-o", str(tmp_path / "out")]) == 0
    with closing(Journal(tmp_path / "kept")) as journal, journal.writing() as database:
        database.execute("DELETE FROM output")
    assert main([*command, "-o", str(tmp_path / "wrong"), "--seed", "5"]) == 2
    assert main([*command, "-o", str(tmp_path / "out")]) == 0


def test_out_is_moved_with_the_journal_in_it(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    command = ["batch", str(folder / "a"), *OPTIONS, "--model", str(tiny_path)]
    assert main([*command, "-o", str(tmp_path / "one")]) == 0
    made = (tmp_path / "one/1.png").stat().st_ino
    assert main([*command, "-o", str((tmp_path / "one").rename(tmp_path / "two"))]) == 0
    assert (tmp_path / "two/1.png").stat().st_ino == made
    assert main([*command, "-o", str(tmp_path / "three"), "--journal", str(tmp_path / "two")]) == 2


def test_another_folder_of_the_same_relative_name_replaces_nothing(
    tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one whose pictures have the same sizes and dates, as out of archives."""
    options = ["-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    for place, color in (("x", "red"), ("y", "blue")):
        (tmp_path / place / "A").mkdir(parents=True)
        Image.new("RGB", (40, 30), color).save(tmp_path / place / "A/1.bmp")
        os.utime(tmp_path / place / "A/1.bmp", (1e9, 1e9))
    monkeypatch.chdir(tmp_path / "x")
    assert main(["batch", "A", *options]) == 0
    before = (tmp_path / "out/1.png").read_bytes()
    monkeypatch.chdir(tmp_path / "y")
    assert main(["batch", "A", *options]) == 2 and (tmp_path / "out/1.png").read_bytes() == before
    assert f"1.png in the output folder is that of {tmp_path / 'x/A/1.bmp'}" in capsys.readouterr().err


def test_the_same_picture_under_another_spelling_is_done_again(
    folder: Path, tmp_path: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a link, from another folder, moved; it was changed or touched since."""
    options = ["-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    monkeypatch.chdir(tmp_path / "in")
    assert main(["batch", "a", *options]) == 0
    (tmp_path / "link").symlink_to(folder / "a")
    write_picture(folder / "a/1.png", torch.rand(1, 40, 56, 3))
    changed = (tmp_path / "out/1.png").read_bytes()
    assert main(["batch", str(tmp_path / "link"), *options]) == 0 and (tmp_path / "out/1.png").read_bytes() != changed
    os.utime(folder / "a/2.jpg", (1e9, 1e9))
    assert main(["batch", str((folder / "a").rename(tmp_path / "moved")), *options]) == 0
    assert (tmp_path / "out/2.jpg").stat().st_mtime == 1e9


def test_a_result_that_was_removed_is_made_again(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    command = ["batch", str(folder), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path), "--limit", "2"]
    assert main(command) == 0
    removed, kept = tmp_path / "out/a/1.png", tmp_path / "out/a/2.jpg"
    content, before = removed.read_bytes(), kept.stat().st_ino
    removed.unlink()
    assert main(command) == 0
    assert removed.read_bytes() == content and kept.stat().st_ino == before


def test_only_what_is_chosen_waits_again(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    """Neither what failed nor what was removed counts as waiting where it is not tried; what waits shows no outcome."""
    out = tmp_path / "out"
    command = ["batch", str(folder), "-o", str(out), *OPTIONS, "--model", str(tiny_path)]
    assert main(command) == 1
    before = table(out)
    (out / "b/1.png").unlink()
    assert main([*command, "--limit", "1", "--retry-failed"]) == 0
    assert table(out) == before
    with closing(Journal(out)) as journal:
        journal.redo(before)
        for row in journal.rows():
            assert row["state"] == "waiting" and not any(row[name] for name in OUTCOME)


def test_a_clean_picture_is_copied_under_its_own_name(tmp_path: Path, tiny_path: Path) -> None:
    """A restored BMP becomes PNG, as does a clean one where that is asked for."""
    source = tmp_path / "a.bmp"
    Image.new("RGB", (40, 30), "gray").save(source)
    out, clean = tmp_path / "out", [*OPTIONS, "--model", str(tiny_path), "--labels", "no"]
    assert main(["batch", str(source), "-o", str(out), *clean]) == 0
    assert (out / "a.bmp").read_bytes() == source.read_bytes() and not (out / "a.png").exists()
    assert table(out)["a.png"]["result"] == "a.bmp"
    assert main(["batch", str(source), "-o", str(tmp_path / "png"), *clean, "--format", "png"]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "png/a.png")), np.asarray(Image.open(source)))


def test_a_depth_that_a_format_lacks_is_no_reason_to_encode_it_anew(tmp_path: Path, tiny_path: Path) -> None:
    source = tmp_path / "clean.jpg"
    write_picture(source, torch.full((1, 40, 30, 3), 0.5))
    clean = [*OPTIONS, "--model", str(tiny_path), "--labels", "no", "--depth", "16"]
    assert main(["batch", str(source), "-o", str(tmp_path / "out"), *clean]) == 0
    assert main(["restore", str(source), "-o", str(tmp_path / "one.jpg"), *clean]) == 0
    for result in ("out/clean.jpg", "one.jpg"):
        assert (tmp_path / result).read_bytes() == source.read_bytes()


@pytest.mark.parametrize(("name", "depth"), [("deep.jp2", 8), ("flat.bmp", 16)])
def test_a_depth_that_only_the_source_lacks_is_that_of_the_result(
    tmp_path: Path, tiny_path: Path, name: str, depth: int
) -> None:
    levels = np.full((40, 30), 25700, np.uint16)
    Image.fromarray(levels if depth == 8 else levels.astype(np.uint8)).save(tmp_path / name)
    clean = [*OPTIONS, "--model", str(tiny_path), "--labels", "no", "--depth", str(depth)]
    assert main(["batch", str(tmp_path / name), "-o", str(tmp_path / "out"), *clean]) == 0
    [row] = table(tmp_path / "out").values()
    assert read_picture(tmp_path / "out" / row["result"]).depth == depth


def test_the_page_does_not_tell_again_what_was_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_picture(tmp_path / "a.png", torch.rand(1, 8, 8, 3), metadata=Metadata(icc_profile=b"no profile"))
    row = {"name": "a.png", "result": "a.png", "source": str(tmp_path / "a.png"), "state": "done", "error": ""}
    assert "a.png: noise" in render_batch(tmp_path, [row | {"decision": "noise", "facts": {"changed": 20.0}}])
    assert not caplog.text
    read_picture(tmp_path / "a.png")
    assert "profile cannot be used" in caplog.text


def test_the_page_says_what_made_it(tmp_path: Path) -> None:
    """In the words of the command's last line; what the preset decides is left out."""
    row = {"name": "a.png", "result": "", "source": "a.png", "decision": "", "facts": {}, "error": "broken"}
    row |= {"seconds": 1.0, "sha256": ""}
    rows = [row | {"state": state} for state in ("failed", "done", "working", "done")]
    settings = {"model": "c0ffee", "match_color": "adain", "gate": False, "labels": ["noise", "no"], "steps": None}
    write_reports(tmp_path, rows, assess_only=False, settings=settings | {"report": False})
    page = (tmp_path / "batch.html").read_text(encoding="utf-8")
    assert "2 restored, 1 failed, 1 at work in other processes" in page
    told = dict(re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', page))
    assert abs(datetime.now().astimezone() - datetime.fromisoformat(told.pop("written"))).total_seconds() < 60
    assert told == {
        "model sha256": "c0ffee",
        "match color": "adain",
        "gate": "off",
        "labels": "noise, no",
        "autodir": ad.__version__,
    }
    write_reports(tmp_path, rows, assess_only=False)
    assert ad.__version__ in (tmp_path / "batch.html").read_text(encoding="utf-8")


def test_results_have_the_dates_of_their_pictures(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    names = ("a/1.png", "a/2.jpg")
    for name in names:
        os.utime(folder / name, (1e9, 1e9))
    command = ["batch", str(folder / "a"), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    assert main(command) == 0
    assert {(tmp_path / "out" / Path(name).name).stat().st_mtime for name in names} == {1e9}


def test_a_date_that_cannot_be_set_costs_no_picture(
    folder: Path, tmp_path: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a share of another user."""

    def refuse(*given: Any, **named: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    command = ["batch", str(folder / "a"), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    assert main(command) == 0
    told = f"{tmp_path / 'out'}: results do not get the dates of their pictures: Operation not permitted"
    assert [record.getMessage() for record in caplog.records].count(told) == 1


def test_masks_lie_where_their_pictures_do(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at another place serves a picture that alone has its name; where one changes, its picture is done again."""
    monkeypatch.chdir(tmp_path)
    (folder / "b/broken.png").unlink()
    command = ["batch", "in", "-o", "out", *OPTIONS, "--model", str(tiny_path), "--mask"]
    for name, level in (("1", 1), ("2", 1), ("b/1", 0)):
        write_picture(tmp_path / f"masks/{name}.png", torch.full((1, 4, 4, 3), float(level)))
    assert main([*command, "masks", "--limit", "1"]) == 2
    assert "masks/a needs one mask named 1.*, it has 0" in capsys.readouterr().err and not (tmp_path / "out").exists()
    (tmp_path / "masks/a").mkdir()
    (tmp_path / "masks/1.png").rename(tmp_path / "masks/a/1.png")
    assert main([*command, "masks"]) == 0
    assert {name: row["state"] for name, row in table(tmp_path / "out").items()} == (
        {"a/1.png": "done", "a/2.jpg": "done", "b/1.png": "clean"}
    )
    made = (tmp_path / "out/a/2.jpg").stat().st_ino
    write_picture(tmp_path / "masks/b/1.png", torch.ones(1, 6, 6, 3))
    assert main([*command, "./masks/"]) == 0, "the same folder"
    assert table(tmp_path / "out")["b/1.png"]["state"] == "done" and (tmp_path / "out/a/2.jpg").stat().st_ino == made


def test_a_picture_that_is_missing_needs_no_mask(folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    """It is a row; once it is there, it needs one."""
    write_picture(tmp_path / "masks/1.png", torch.ones(1, 4, 4, 3))
    (folder / "list.txt").write_text("a/1.png\na/gone.png\n", encoding="utf-8")
    command = ["batch", str(folder / "list.txt"), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    assert main([*command, "--mask", str(tmp_path / "masks")]) == 1
    assert {name: row["state"] for name, row in table(tmp_path / "out").items()} == (
        {"a/1.png": "done", "a/gone.png": "failed"}
    )
    write_picture(folder / "a/gone.png", torch.rand(1, 40, 56, 3))
    assert main([*command, "--mask", str(tmp_path / "masks")]) == 2


def test_depth_and_range_are_kept_and_chosen(tmp_path: Path, tiny_path: Path) -> None:
    given, scene = tmp_path / "in", torch.rand(40, 56, 3).numpy() * 8 - 1
    write_picture(given / "deep.png", torch.rand(1, 40, 56, 3), depth=16)
    write_picture(given / "deep.tif", torch.rand(1, 40, 56, 3), depth=16)
    write_floats(given / "scene.tif", scene)
    options = [*OPTIONS, "--model", str(tiny_path), "--labels", "noise"]
    for name, more, depths in (("kept", ["--keep-range"], [16, 16, 32]), ("chosen", ["--depth", "8"], [8, 8, 8])):
        out = tmp_path / name
        assert main(["batch", str(given), "-o", str(out), *options, *more]) == 0
        assert [read_picture(out / file).depth for file in ("deep.png", "deep.tif", "scene.tif")] == depths
    kept = read_floats(tmp_path / "kept/scene.tif")
    assert kept and kept.color.max() > 4 and kept.color.min() < -0.5


def test_a_process_that_ends_is_told(
    folder: Path, tmp_path: Path, tiny_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Values that are not finite are found where the weights are read: in the process."""
    weights, state = tmp_path / "odd.safetensors", load_file(tiny_path)
    next(iter(state.values())).view(-1)[0] = float("nan")
    save_file(state, weights, metadata=dict(open_state_dict(tiny_path).metadata))
    command = ["batch", str(folder), "-o", str(tmp_path / "out"), "--devices", "cpu", "--model", str(weights)]
    assert main(command) == 2
    told = capfd.readouterr().err
    assert "the process on cpu ended with 2; run the same command again to go on" in told


def test_a_cluster_without_its_package_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "autodir_core.batch.workers.ray_cluster", raising=False)
    assert main(["batch", str(folder), "-o", str(tmp_path / "out"), "--ray", "local", "--quiet"]) == 2
    told = capsys.readouterr().err
    assert "ray cannot be imported" in told and "pip install ray" in told and told.count("\n") == 1


def test_a_folder_that_joins_with_the_name_of_a_result_is_refused(
    tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)).save(tmp_path / "in/a.bmp")
    command = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    assert main(command) == 0 and (tmp_path / "out/a.png").exists()
    write_picture(tmp_path / "in/a.png/1.png", torch.rand(1, 40, 56, 3))
    for more in ([], ["--dry-run"], ["--overwrite"]):
        assert main([*command, *more]) == 2
        assert "a.png is a result, and a folder of that name joins; choose another" in capsys.readouterr().err
