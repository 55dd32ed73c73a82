"""A server under load: many prompts by several clients, interrupts at random moments, a model file that is replaced."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.host.conftest import StartServer, number_of, pixels, prepared
from tests.host.server import ROOT, Server

pytestmark = pytest.mark.host

CLIENTS, WARM_UP = 8, 50
MAX_GROWTH = 0.01
"""Of the memory after the first prompts, in a run that is long enough to tell."""

LONG = 30
"""Steps of a round that takes a while with the tiny model."""

RUNS = itertools.count()
"""Another number is another run."""

Prompt = dict[str, Any]


@pytest.fixture(scope="module")
def busy(start_server: StartServer) -> Iterator[Server]:
    with start_server(Path(__file__).with_name("count_nodes.py")) as running:
        yield running


def restore_prompt(seed: int, **changes: Any) -> Prompt:
    """The smallest workflow that restores; another seed is another run."""
    return prepared(ROOT / "workflows/api/restore.json", seed=seed, **{"steps": 1, "max_rounds": 1, **changes})


def memory_of(server: Server) -> int:
    """Bytes of the server's process that are in memory, without ComfyUI's records of finished prompts."""
    server.call("/history", {"clear": True})
    count(server)
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def count(server: Server) -> dict[str, Any]:
    """What `HardeningCount` counts in the server, once garbage is collected."""
    return server.run({"1": {"class_type": "HardeningCount", "inputs": {"run": next(RUNS)}}})["1"]


def alive(server: Server) -> dict[str, int]:
    return count(server)["alive"][0]


def saved_pixels(server: Server, outputs: dict[str, Any], prompt: Prompt) -> np.ndarray:
    (entry,) = outputs[number_of(prompt, "SaveImage")]["images"]
    return pixels(server.file(entry))


def run_clients(server: Server, seeds: list[int]) -> None:
    """Let all clients queue their part of the prompts and wait for each; fails where one does."""
    errors: list[BaseException] = []

    def work(own: list[int], client: int) -> None:
        try:
            numbers = [server.queue(restore_prompt(seed), f"client{client}") for seed in own]
            for number in numbers:
                assert server.result(number)["status"]["status_str"] == "success"
        except (AssertionError, OSError) as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seeds[i::CLIENTS], i)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read as Linux tells it")
def test_many_prompts_of_several_clients(busy: Server, trials: int) -> None:
    prompts = max(trials // 20, CLIENTS)
    warm_up = min(WARM_UP, prompts // 2)
    run_clients(busy, list(range(warm_up)))
    before, counts = memory_of(busy), count(busy)
    start = time.monotonic()
    run_clients(busy, list(range(warm_up, prompts)))
    seconds = time.monotonic() - start
    growth = memory_of(busy) / before - 1
    print(f"{prompts} prompts, the last {prompts - warm_up} in {seconds:.0f} s: {before / 1e6:.0f} MB {growth:+.2%}")
    assert count(busy) == counts and max(counts["alive"][0].values()) <= 1
    if prompts > 4 * WARM_UP:
        assert growth < MAX_GROWTH


def test_models_that_are_no_longer_used_are_given_up(busy: Server, trials: int) -> None:
    folder = busy.base / "models/autodir"
    for i in range(max(trials // 50, 3)):
        name = f"copy{i}.safetensors"
        shutil.copy(folder / "tiny.safetensors", folder / name)
        busy.run(restore_prompt(i, file=name))
    busy.run(restore_prompt(1))
    busy.call("/free", {"unload_models": True, "free_memory": True})
    busy.run(restore_prompt(2))
    assert max(alive(busy).values()) <= 1, "newer ComfyUIs forget at once what a prompt did not use"


def test_interrupts_at_random_moments(busy: Server, trials: int, rng: random.Random) -> None:
    reference = restore_prompt(10_000, steps=3, max_rounds=2)
    expected, states = saved_pixels(busy, busy.run(reference), reference), dict[str, int]()
    start = time.monotonic()
    busy.run(restore_prompt(19_999, steps=LONG, max_rounds=2))
    seconds = time.monotonic() - start
    for i in range(max(trials // 20, 5)):
        number = busy.queue(restore_prompt(20_000 + i, steps=LONG, max_rounds=2))
        time.sleep(rng.uniform(0, seconds))
        busy.call("/interrupt", {})
        status = busy.result(number)["status"]
        kinds = [kind for kind, _ in status["messages"]]
        state = "interrupted" if "execution_interrupted" in kinds else status["status_str"]
        states[state] = states.get(state, 0) + 1
    print(states)
    assert set(states) <= {"interrupted", "success"} and states["interrupted"]
    again = restore_prompt(10_000, steps=3, max_rounds=2)
    again[number_of(again, "SaveImage")]["inputs"]["filename_prefix"] = "again"  # else the cache answers
    again[number_of(again, "AutoDIRRestore")]["inputs"]["strength"] = 1.0
    assert np.array_equal(saved_pixels(busy, run_anew(busy, again), again), expected)


def run_anew(server: Server, prompt: Prompt) -> dict[str, Any]:
    """Run a prompt with nothing in the cache."""
    server.call("/free", {"unload_models": True, "free_memory": True})
    time.sleep(1)
    return server.run(prompt)


def test_a_model_file_that_is_replaced(busy: Server, tiny_path: Path, tmp_path: Path) -> None:
    name = "replaced.safetensors"
    weights = busy.base / "models/autodir" / name
    shutil.copy(tiny_path, weights)
    prompt: Callable[[], Prompt] = lambda: restore_prompt(7, file=name, scm_weight=1.0)  # noqa: E731
    first = saved_pixels(busy, busy.run(prompt()), prompt())
    state = load_file(tiny_path)
    bias = next(key for key in state if key.endswith("ending.bias"))
    state[bias] = state[bias] + 0.5
    save_file(state, tmp_path / name, metadata=metadata_of(tiny_path))
    os.replace(tmp_path / name, weights)
    second = saved_pixels(busy, busy.run(prompt()), prompt())
    assert not np.array_equal(first, second) and second.mean() > first.mean() + 20
    shutil.copy(tiny_path, tmp_path / name)
    os.replace(tmp_path / name, weights)
    os.utime(weights)
    assert np.array_equal(saved_pixels(busy, busy.run(prompt()), prompt()), first)
    weights.write_bytes(b"no weights")
    done = busy.result(busy.queue(prompt()))
    error = next(content for kind, content in done["status"]["messages"] if kind == "execution_error")
    assert name in error["exception_message"] and "\n" not in error["exception_message"].strip()


def metadata_of(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return file.metadata()
