"""A Ray cluster: the bits of a single process, each result once, whatever workers end or join."""

from __future__ import annotations

import os
import signal
import socket
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autodir_core.batch.journal import Journal, Outcome
from autodir_core.batch.planning.item import Item
from autodir_core.cli import main, parse
from autodir_core.imaging.files import write_picture

ray = pytest.importorskip("ray", reason="ray is not installed")

from autodir_core.batch.workers import ray_cluster  # noqa: E402

NAMES = tuple(f"{folder}/{number}.png" for folder in "ab" for number in range(8))
OPTIONS = ["--steps", "1", "--max-rounds", "1", "--no-gate", "--device", "cpu"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of two machines with a core each, all of them on this one."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # 15 by itself: on a busy machine they would wait for minutes
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        one = Cluster()
        for _ in range(2):
            add_machine(one)
        yield one
        one.shutdown()


@pytest.fixture
def machines(cluster: Any) -> Iterator[Any]:
    """The same two for every test: what one has added goes with it."""
    before = cluster.list_all_nodes()
    yield cluster
    ray.shutdown()
    for node in cluster.list_all_nodes():
        if node not in before:
            cluster.remove_node(node)


def add_machine(machines: Any) -> None:
    """Ray gives a machine 30 seconds to start, which a busy one may need several of."""
    for left in (2, 1, 0):
        try:
            machines.add_node(num_cpus=1, include_dashboard=False)
            return
        except Exception as error:  # the class that it raises
            if not left or "timed out during startup" not in str(error):
                raise


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    generator = torch.Generator().manual_seed(0)
    for name in NAMES:
        write_picture(tmp_path / "in" / name, torch.rand(1, 40, 56, 3, generator=generator))
    return [Item(tmp_path / "in" / name, name) for name in NAMES]


class Copier:
    """A worker without networks: its results are its inputs."""

    def __init__(self, arguments: Namespace) -> None:
        self.begun, self.workers = arguments.begun, arguments.need_workers

    def load(self) -> str:
        (self.begun / str(os.getpid())).touch()
        return str(os.getpid())

    def do(self, parcel: ray_cluster.Parcel) -> tuple[Outcome, bytes | None]:
        if parcel.item.name == "a/3.png" and parcel.mask:  # what no worker survives
            os.kill(os.getpid(), signal.SIGKILL)
        limit = time.monotonic() + 400
        while parcel.item.name > "b" and len(list(self.begun.iterdir())) < self.workers and time.monotonic() < limit:
            time.sleep(0.05)
        return Outcome("done", str(os.getpid()), parcel.item.name), parcel.content

    def close(self) -> None:
        pass


def copying(arguments: Namespace) -> tuple[str, Any]:
    kind = ray.remote(Copier).options(num_cpus=1, max_concurrency=2)
    return "CPU", lambda: kind.remote(arguments)


class Watch:
    """Is told of outcomes, and acts once when so many have come."""

    def __init__(self, number: int, act: Any) -> None:
        self.names: list[str] = []
        self.outcomes: dict[str, Outcome] = {}
        self.number, self.act = number, act

    def __call__(self, item: Item, outcome: Outcome) -> None:
        self.names.append(item.name)
        self.outcomes[item.name] = outcome
        if len(self.names) == self.number:
            self.act(self)


def run_copiers(
    machines: Any, journal: Journal, items: list[Item], watch: Watch, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> None:
    folder = Path(items[0].source).parents[2]
    (folder / "begun").mkdir()
    given = {"ray": machines.address, "output": folder / "out", "begun": folder / "begun"}
    arguments = Namespace(**given | {"need_workers": 0, "workers": None, "quiet": False, "overwrite": False} | options)
    monkeypatch.setattr(ray_cluster, "worker_factory", copying)
    ray_cluster.run_cluster(items, journal, arguments, watch)


def test_one_worker_is_killed_and_one_is_added(
    machines: Any, journal: Journal, items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second half of the pictures waits until the killed one's heir and the added one are there."""

    def act(watch: Watch) -> None:
        os.kill(int(watch.outcomes[watch.names[-1]].decision), signal.SIGKILL)
        add_machine(machines)

    watch = Watch(4, act)
    run_copiers(machines, journal, items, watch, monkeypatch, need_workers=4)
    assert sorted(watch.names) == sorted(NAMES), "each once"
    assert set(journal.states().values()) == {"done"}
    assert len({outcome.decision for outcome in watch.outcomes.values()}) >= 3, "others than the first two had some"
    out = Path(items[0].source).parents[2] / "out"
    assert all((out / item.name).read_bytes() == item.source_path.read_bytes() for item in items)
    assert all((out / item.name).stat().st_mtime_ns == item.source_path.stat().st_mtime_ns for item in items)


def test_a_picture_that_ends_its_worker_is_one_failure(
    machines: Any, journal: Journal, items: list[Item], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_picture(tmp_path / "mask.png", torch.ones(1, 4, 4, 3))
    watch = Watch(0, None)
    masked = [replace(item, mask=tmp_path / "mask.png") for item in items[:6]]
    run_copiers(machines, journal, masked, watch, monkeypatch)
    states = journal.states()
    assert [name for name, state in states.items() if state == "failed"] == ["a/3.png"]
    assert "its worker ended, 3 times" in watch.outcomes["a/3.png"].error
    assert all(states[item.name] == "done" for item in items[:6] if item.name != "a/3.png")


def test_a_worker_needs_no_file_of_the_driver(items: list[Item], tmp_path: Path, tiny_path: Path) -> None:
    """Its weights and its pictures come as bytes, its results go as bytes: those of a run without it."""
    options = [str(tmp_path / "in"), *OPTIONS, "--quiet", "--limit", "3", "--model", str(tiny_path)]
    arguments = parse(["batch", *options, "-o", str(tmp_path / "out"), "--ray", "auto"])
    arguments.model, arguments.output = "/nowhere/tiny.safetensors", Path("/nowhere/out")
    worker = ray_cluster.Worker(arguments, tiny_path.read_bytes())
    worker.load()
    assert main(["batch", *options, "-o", str(tmp_path / "one")]) == 0
    for item in items[:3]:
        away = Item(Path("/nowhere") / item.source_path.name, item.name)
        outcome, content = worker.do(ray_cluster.Parcel(away, item.source_path.read_bytes(), None))
        assert outcome.state == "done" and content == (tmp_path / "one" / item.name).read_bytes()
    away = Item(Path("/nowhere/1.png"), "1.png", mask=Path("/nowhere/mask.png"))
    write_picture(tmp_path / "black.png", torch.zeros(1, 4, 4, 3))
    given = items[0].source_path.read_bytes(), (tmp_path / "black.png").read_bytes()
    assert worker.do(ray_cluster.Parcel(away, *given))[0].state == "clean"
    (worker.folder / "mask.png").unlink()
    outcome, content = worker.do(ray_cluster.Parcel(Item(Path("/nowhere/x.png"), "x.png"), b"broken", None))
    assert outcome.state == "failed" and outcome.error.startswith("/nowhere/x.png is not a picture") and content is None
    folder = worker.folder
    assert {path.name for path in folder.rglob("*.*")} == {"tiny.safetensors", worker.staging.folder.name}
    worker.close()
    assert not folder.exists()


def test_results_are_those_of_one_process(
    machines: Any, items: list[Item], tmp_path: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a model whose file and pictures no worker has: one is killed in the middle, another machine joins."""
    one, many = tmp_path / "one", tmp_path / "many"
    weights = tmp_path / "here/tiny.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(tiny_path.read_bytes())
    options = [str(tmp_path / "in"), *OPTIONS, "--model", str(weights)]
    assert main(["batch", *options, "-o", str(one), "--quiet"]) == 0
    finish, told = ray_cluster.Driver.finish, []

    def watched(driver: Any, item: Item, outcome: Outcome) -> None:
        finish(driver, item, outcome)
        told.append(item.name)
        if len(told) == 5:
            ray.kill(next(iter(driver.load)))
            add_machine(machines)

    monkeypatch.setattr(ray_cluster.Driver, "finish", watched)
    assert main(["batch", *options, "-o", str(many), "--ray", machines.address]) == 0
    assert sorted(told) == sorted(NAMES)
    found = sorted(path.relative_to(many).as_posix() for path in many.rglob("*.*"))
    assert found == sorted([*NAMES, "batch.csv", "batch.html", "batch.sqlite"])
    assert all((one / name).read_bytes() == (many / name).read_bytes() for name in NAMES)


def test_a_file_put_into_out_during_the_run_is_not_replaced(items: list[Item], tmp_path: Path) -> None:
    (tmp_path / "out/a").mkdir(parents=True)
    (tmp_path / "out/a/0.png").write_bytes(b"mine")
    own = Namespace(output=tmp_path / "out", overwrite=False)
    with closing(Journal(tmp_path / "out")) as journal:
        journal.add(items)
        assert all(map(journal.claim, items[:2]))
        driver = ray_cluster.Driver(journal, own, lambda item, outcome: None, "CPU", lambda: None)
        given = [driver.write(item, Outcome("done", result=item.name), b"ours") for item in items[:2]]
    assert [outcome.state for outcome in given] == ["failed", "done"] and "put there during the run" in given[0].error
    assert [(tmp_path / "out" / name).read_bytes() for name in NAMES[:2]] == [b"mine", b"ours"]


def test_no_cluster(items: list[Item], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *OPTIONS]
    assert main([*command, "--ray", "auto", "--devices", "cpu"]) == 2
    assert "leave one of them out" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "no.such.host.invalid:{}"])
def test_a_wrong_address_is_told_at_once(
    items: list[Item], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Ray itself tries for two minutes, with lines of its own."""
    monkeypatch.delattr(ray, "init")
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        address = address.format(unused.getsockname()[1])
        command = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *OPTIONS, "--ray", address]
        assert main(command) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert f"no Ray cluster answers at {address}" in line and "ray start --head" in line
