"""A batch that is killed at random moments: nothing is half-written, the next run goes on, each result is there."""

from __future__ import annotations

import csv
import multiprocessing
import os
import random
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from autodir_core.batch.journal import Journal
from autodir_core.cli import main
from autodir_core.imaging.files import read_picture, write_picture

PICTURES, PART_FRAMES = 12, 6
COMMON = ["--device", "cpu", "--quiet"]
RESTORE = ["--steps", "1", "--max-rounds", "1", "--no-gate"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")


@pytest.fixture
def kills(trials: int) -> int:
    """3 by default, 50 from `--trials 3000` on."""
    return min(trials // 60, 50)


FORK = None if os.name == "nt" else multiprocessing.get_context("fork")
"""Its processes have all libraries from the start: a kill falls into the work, not into seconds of imports."""


def start(folder: Path, output: Path, options: list[str]) -> BaseProcess:
    process = FORK.Process(target=run_batch, args=(["batch", str(folder), "-o", str(output), *options],))
    process.start()
    return process


def run_batch(command: list[str]) -> None:
    sys.exit(main(command))


SERVED = None if os.name == "nt" else multiprocessing.get_context("forkserver")
"""Its processes come from one that has the libraries and no threads: OpenCV's do not survive a fork of this one."""


def start_film(folder: Path, output: Path, options: list[str]) -> BaseProcess:
    SERVED.set_forkserver_preload(["autodir_core.batch.work", "autodir_core.batch.films.shots"])
    process = SERVED.Process(target=run_film, args=(["batch", str(folder), "-o", str(output), *options],))
    process.start()
    return process


def run_film(command: list[str]) -> None:
    from autodir_core.batch.films import shots

    shots.PART_FRAMES = PART_FRAMES
    torch.set_num_threads(1)
    sys.exit(main(command))


def finish(process: BaseProcess) -> None:
    process.join()
    assert process.exitcode == 0


def make_pictures(folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for number in range(PICTURES):
        write_picture(folder / f"{number % 3}/{number}.png", torch.rand(1, 64, 96, 3, generator=generator))


def results(output: Path) -> dict[str, bytes]:
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*.png")}


def states(output: Path) -> dict[str, str]:
    """The journal's, read as the next process would find them."""
    journal = Journal(output)
    found = journal.states()
    journal.close()
    return found


@pytest.mark.parametrize("options", [RESTORE, ["--assess-only"]], ids=["restore", "assess"])
@pytest.mark.timeout(20_000)
def test_killed_at_random_moments(
    tmp_path: Path, tiny_path: Path, rng: random.Random, kills: int, options: list[str]
) -> None:
    """Kill after kill, each run going on where the last one was; where all is done, the batch is begun anew."""
    make_pictures(tmp_path / "in")
    torch.set_num_threads(1)  # a forked process has no other threads
    given, whole = [*COMMON, *options, "--model", str(tiny_path)], tmp_path / "whole"
    assert main(["batch", str(tmp_path / "in"), "-o", str(whole), *given]) == 0
    began = time.monotonic()
    finish(start(tmp_path / "in", tmp_path / "again", given))
    length, left, batches = time.monotonic() - began, [], 0
    while len(left) < kills:
        batches, output = batches + 1, tmp_path / f"out{batches + 1}"
        while len(left) < kills and killed(start(tmp_path / "in", output, given), length * rng.uniform(0, 1.1)):
            left.append(check_what_is_left(output, results(whole)))
            print(f"kill {len(left)}", flush=True)
        finish(start(tmp_path / "in", output, given))
        check_end(output, whole)
    assert any(left) or kills < 10
    print(f"{len(left)} kills of {batches} batches, {sum(left)} with pictures done and others not")


def make_film(path: Path) -> None:
    """24 noisy frames."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    random_levels = np.random.default_rng(0)
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(24):
            levels = random_levels.integers(60, 200, (48, 64, 3)).astype(np.uint8)
            film.mux(video.encode(av.VideoFrame.from_ndarray(levels, format="rgb24").reformat(format="yuv420p")))
        film.mux(video.encode(None))


@pytest.mark.timeout(20_000)
def test_a_film_killed_at_random_moments(tmp_path: Path, tiny_path: Path, rng: random.Random, kills: int) -> None:
    """Its parts are whole or not there, and the film that they become is that of an undisturbed run."""
    (tmp_path / "in").mkdir()
    make_film(tmp_path / "in/film.mkv")
    from autodir_core.batch.films.film import read_frames

    given, whole = [*COMMON, *RESTORE, "--labels", "noise", "--model", str(tiny_path)], tmp_path / "whole"
    finish(start_film(tmp_path / "none", tmp_path / "out", ["--help"]))  # the process that all come from begins here
    began = time.monotonic()
    finish(start_film(tmp_path / "in", whole, given))
    length, left, films = time.monotonic() - began, [], 0
    kills = kills if kills > 3 else 1
    wanted = torch.stack([image for _, image in read_frames(whole / "film.mkv")])
    while len(left) < kills:
        films, output = films + 1, tmp_path / f"out{films + 1}"
        while len(left) < kills and killed(start_film(tmp_path / "in", output, given), length * rng.uniform(0, 1.1)):
            left.append(len(list(output.glob("film.mkv.parts/[0-9]*.part"))))
            print(f"kill {len(left)}", flush=True)
        finish(start_film(tmp_path / "in", output, given))
        assert torch.equal(torch.stack([image for _, image in read_frames(output / "film.mkv")]), wanted)
        assert sorted(path.name for path in output.iterdir()) == ["batch.csv", "batch.html", "batch.sqlite", "film.mkv"]
    assert any(left) or kills < 10
    print(f"{len(left)} kills of {films} films, {sum(map(bool, left))} with parts done")


def killed(process: BaseProcess, wait: float) -> bool:
    """Kill a process after a time; whether it had not ended before."""
    time.sleep(wait)
    process.kill()
    process.join()
    return process.exitcode != 0


def check_what_is_left(output: Path, wanted: dict[str, bytes]) -> bool:
    """Whatever has its name is whole, and what the journal calls done is there; whether the kill fell between."""
    if not (output / "batch.sqlite").exists():
        return False
    there = {name: content for name, content in results(output).items() if not Path(name).name.startswith(".")}
    assert all(content == wanted[name] for name, content in there.items())
    found = states(output)
    assert not wanted or {name for name, state in found.items() if state in ("done", "clean")} <= there.keys()
    return 0 < sum(state in ("done", "clean") for state in found.values()) < PICTURES


def check_end(output: Path, whole: Path) -> None:
    assert results(output) == results(whole)
    tables = []
    for folder in (output, whole):
        with (folder / "batch.csv").open(encoding="utf-8", newline="") as file:
            tables.append([row | {"seconds": ""} for row in csv.DictReader(file)])
    assert tables[0] == tables[1] and len(tables[0]) == PICTURES
    assert not [path for path in output.rglob("*") if path.name.startswith(".") or path.suffix == ".part"], (
        "half-written"
    )
    for path in output.rglob("*.png"):
        read_picture(path)
