"""Commands that are killed at random moments: nothing half-written, and the next run goes on to the same bits."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from autodir_core.imaging.files import write_picture
from autodir_core.labels import LABELS
from autodir_core.serialization.temporary import is_temporary
from autodir_lab.training import STAGE_NAMES
from tests.client.helpers.fake import WORKFLOW, Fake
from tests.conftest import ROOT
from tests.core.cli.helpers import saved

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="forks"),
    pytest.mark.slow,
]

MAX_RUNS = 60
"""Of one trial: each goes on where the one before was killed, so far fewer reach the end."""

QUICK = ("--steps", "2", "--max-rounds", "2", "--no-gate", "--device", "cpu")


class Killer:
    """The process whose children the commands are."""

    def __init__(self, log: Path) -> None:
        self.log = log
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.hardening.faults.killer"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)
        assert self.process.stdin and self.process.stdout
        self.ask, self.answers = self.process.stdin, self.process.stdout
        assert self.answers.readline() == "ready\n"

    def __call__(self, *argv: object, seconds: float | None = None) -> dict[str, Any]:
        """Run a command, killed after so many seconds; its exit code and how long it ran."""
        self.ask.write(json.dumps({"argv": [*map(str, argv)], "seconds": seconds, "log": str(self.log)}) + "\n")
        self.ask.flush()
        answer = json.loads(self.answers.readline())
        assert "Traceback" not in self.log.read_text(errors="replace"), self.log.read_text(errors="replace")
        return answer


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    running = Killer(tmp_path_factory.mktemp("killer") / "log.txt")
    yield running
    running.process.kill()
    running.process.wait()


Files = dict[str, bytes]


def files_in(folder: Path) -> Files:
    """All files but temporary ones, which a process that is killed leaves, by name; safetensors has some of its own."""
    own = (path for path in folder.rglob("*") if not path.name.startswith(".tmp"))
    paths = [path for path in own if path.is_file() and not is_temporary(path)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def kill_until_done(
    killer: Killer, command: Callable[[Path], list[object]], out: Path, seconds: float, rng: random.Random
) -> tuple[int, list[Files]]:
    """Run a command into a folder until it ends by itself; how often it was killed, and the files after each kill."""
    seen: list[Files] = []
    for attempt in range(MAX_RUNS):  # with more and more time, so that a machine that is busy now gets to the end
        ended = killer(*command(out), seconds=rng.uniform(0, seconds * 1.2**attempt))
        if ended["rc"] != -9:
            assert ended["rc"] == 0, killer.log.read_text()
            return len(seen), seen
        seen.append(files_in(out))
    raise AssertionError(f"not done after {MAX_RUNS} runs")


def run_trials(
    killer: Killer,
    command: Callable[[Path], list[object]],
    folder: Path,
    rng: random.Random,
    kills: int,
    *,
    whole: Callable[[str], bool] = lambda name: True,
    same: Callable[[str], bool] = lambda name: True,
) -> None:
    """Kill a command so many times, and compare with an undisturbed run.

    Args:
        command: its arguments for an output folder.
        whole: the files that must have their final bytes whenever they are there.
        same: the files that must be the same at the end.
    """
    undisturbed = folder / "undisturbed"
    ended = killer(*command(undisturbed))
    assert ended["rc"] == 0, killer.log.read_text()
    expected, done, trial = files_in(undisturbed), 0, 0
    while done < kills:
        out = folder / f"out{trial}"
        count, seen = kill_until_done(killer, command, out, ended["seconds"], rng)
        done, trial, found = done + count, trial + 1, files_in(out)
        for files in seen:
            assert {name for name, content in files.items() if whole(name) and content != expected[name]} == set()
        assert {name for name in expected if same(name) and found.get(name) != expected[name]} == set()
        assert set(found) == set(expected)
        shutil.rmtree(out)
    print(f"{done} kills in {trial} trials of {ended['seconds']:.1f} s")


@pytest.fixture
def kills(trials: int) -> int:
    return max(trials // 100, 1)


def test_convert(killer: Killer, tiny_path: Path, tmp_path: Path, rng: random.Random, kills: int) -> None:
    def command(out: Path) -> list[object]:
        return ["convert", tiny_path, out / "small.safetensors", "--precision", "float16", "--overwrite"]

    (tmp_path / "undisturbed").mkdir()
    run_trials(killer, command, tmp_path, rng, kills)


def test_restore(killer: Killer, tiny_path: Path, tmp_path: Path, rng: random.Random, kills: int) -> None:
    for number in range(4):
        saved(tmp_path / "in" / f"{number}.png", seed=number)

    def command(out: Path) -> list[object]:
        extras = "--save-rounds", "--montage", "--quiet"
        return ["restore", tmp_path / "in", "-o", out, "--model", tiny_path, *extras, *QUICK]

    run_trials(killer, command, tmp_path, rng, kills)


@pytest.fixture
def training(tmp_path: Path) -> list[object]:
    """Options of a short training on pairs of every label."""
    for label in LABELS[:-1]:
        clean = torch.rand(1, 80, 80, 3, generator=torch.Generator().manual_seed(len(label)))
        write_picture(tmp_path / "pairs" / label / "clean" / "a.png", clean)
        write_picture(tmp_path / "pairs" / label / "degraded" / "a.png", clean / 2)
    every = "steps = 2\nlearning_rate = 1e-4\nbatch_size = 2\nsave_every = 1\n"
    plans = "".join(f"[{stage}]\n{every}" for stage in STAGE_NAMES)
    crops = "".join(f"[{stage}_objective.crops]\nsize = 64\nclean_fraction = 0.1\n" for stage in ("biqa", "ldm", "scm"))
    recipe = tmp_path / "short.toml"
    recipe.write_text(f"name = 'short'\n{plans}[data]\nscenes = 0\npairs = '{tmp_path / 'pairs'}'\n{crops}")
    return ["--recipe", recipe, "--device", "cpu", "--workers", 0, "--threads", 1]


def is_model(name: str) -> bool:
    return name.endswith(".safetensors")


def is_result(name: str) -> bool:
    return name.endswith((".safetensors", ".npy", "-final.pt"))


def test_train(
    killer: Killer, tiny_path: Path, tmp_path: Path, training: list[object], rng: random.Random, kills: int
) -> None:
    def command(out: Path) -> list[object]:
        return ["train", "scm", "--model", tiny_path, "-o", out, *training]

    run_trials(killer, command, tmp_path, rng, kills, whole=is_model, same=is_model)


def test_teach(
    killer: Killer, tiny_path: Path, tmp_path: Path, training: list[object], rng: random.Random, kills: int
) -> None:
    def command(out: Path) -> list[object]:
        pairs = tmp_path / "pairs" / LABELS[0]
        return ["teach", "mist", "--pairs", pairs, "--model", tiny_path, "-o", out, *training]

    run_trials(killer, command, tmp_path, rng, kills, whole=is_model, same=is_model)


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A server in a thread of its own."""
    loop, server = asyncio.new_event_loop(), Fake()
    server.step_seconds = 0.01
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_comfy_run(killer: Killer, fake: Fake, tmp_path: Path, rng: random.Random, kills: int) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        (tmp_path / "in" / f"photo{number}.png").write_bytes(b"photo %d" % number)
    (tmp_path / "flow.json").write_text(json.dumps(WORKFLOW))

    def command(out: Path) -> list[object]:
        photos = f"image={tmp_path / 'in'}"
        return ["comfy", "run", tmp_path / "flow.json", "--server", fake.url, "--input", photos, "-o", out, "--quiet"]

    run_trials(killer, command, tmp_path, rng, kills, same=is_output, whole=is_output)


def is_output(name: str) -> bool:
    """Whether a file is a result: the client's notes name prompts, which differ from run to run."""
    return not name.endswith("_comfy.json")
