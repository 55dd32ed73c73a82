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

import pytest
import torch

from autodir_core.batch.journal import Journal
from autodir_core.cli import main
from autodir_core.imaging.files import read_picture, write_picture

PICTURES = 12
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
    assert not list(output.rglob(".*")), "the next process has removed what was half-written"
    return 0 < sum(state in ("done", "clean") for state in found.values()) < PICTURES


def check_end(output: Path, whole: Path) -> None:
    assert results(output) == results(whole)
    tables = []
    for folder in (output, whole):
        with (folder / "batch.csv").open(encoding="utf-8", newline="") as file:
            tables.append([row | {"seconds": ""} for row in csv.DictReader(file)])
    assert tables[0] == tables[1] and len(tables[0]) == PICTURES
    assert not [path for path in output.rglob("*") if path.name.startswith(".") or path.suffix == ".part"]
    for path in output.rglob("*.png"):
        read_picture(path)
