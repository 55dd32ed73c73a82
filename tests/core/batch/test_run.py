"""Reading, networks and writing side by side; every picture once, in any case."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest
import torch

import autodir_core as ad
from autodir_core.batch import run
from autodir_core.batch.journal import Journal, Outcome
from autodir_core.batch.planning.item import Item
from autodir_core.batch.run import Work, run_batch
from autodir_core.errors import FullDiskError
from autodir_core.imaging.files import Picture, read_picture, write_picture


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    for i in range(6):
        write_picture(tmp_path / f"{i}.png", torch.full((1, 4, 4, 3), i / 10))
    (tmp_path / "3.png").write_bytes(b"broken")
    return [Item(tmp_path / f"{i}.png", f"{i}.png") for i in range(6)]


def process(item: Item, picture: Picture) -> float:
    if item.name == "4.png":
        raise ad.InputError("cannot be done")
    return picture.image.mean().item()


def write(item: Item, picture: Picture, mean: float) -> Outcome:
    assert threading.current_thread() is not threading.main_thread()
    if item.name == "5.png":
        raise OSError(28, "No space left on device")
    return Outcome("done", f"{mean:.1f}")


WORK = Work(process, write, read_picture)


def test_one_failure_costs_no_other(journal: Journal, items: list[Item]) -> None:
    told: list[str] = []
    run_batch(items, journal, WORK, lambda item, outcome: told.append(item.name))
    assert sorted(told) == [item.name for item in items]
    rows = {row["name"]: row for row in journal.rows()}
    assert [rows[f"{i}.png"]["decision"] for i in range(3)] == ["0.0", "0.1", "0.2"]
    assert all(len(rows[f"{i}.png"]["sha256"]) == 64 for i in (0, 1, 2, 4, 5))
    errors = [rows[f"{i}.png"]["error"] for i in (3, 4, 5)]
    assert "3.png" in errors[0] and errors[1:] == ["cannot be done", "No space left on device"]


def test_an_interruption_loses_only_what_was_at_work(journal: Journal, items: list[Item]) -> None:
    def interrupted(item: Item, picture: Picture) -> float:
        if item.name == "2.png":
            raise KeyboardInterrupt
        return process(item, picture)

    with pytest.raises(KeyboardInterrupt):
        run_batch(items, journal, Work(interrupted, write, read_picture), lambda item, outcome: None)
    states = journal.states()
    assert states["2.png"] == "working" and states["0.png"] == "done" and states["5.png"] == "waiting"


def test_two_share_the_work(tmp_path: Path, items: list[Item]) -> None:
    done: list[str] = []
    journals = [Journal(tmp_path / "out") for _ in range(2)]
    for one in journals:
        one.add(items)
    threads = [
        threading.Thread(
            target=run_batch,
            args=(items, one, WORK, lambda item, outcome: done.append(item.name)),
        )
        for one in journals
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in journals:
        one.close()
    assert sorted(done) == [item.name for item in items]


def test_a_fault_of_the_program_is_a_row_and_not_the_end(journal: Journal, items: list[Item]) -> None:
    def fail(item: Item, picture: Picture) -> float:
        if item.name == "1.png":
            raise ZeroDivisionError("division by zero")
        return process(item, picture)

    run_batch(items, journal, Work(fail, write, read_picture), lambda item, outcome: None)
    rows = {row["name"]: row for row in journal.rows()}
    assert rows["1.png"]["state"] == "failed"
    assert rows["1.png"]["error"].endswith(
        "ZeroDivisionError: division by zero; a fault of the program, please report it"
    )
    assert rows["2.png"]["state"] == "done"


def test_what_is_written_is_noted_before_the_next_is_done(journal: Journal, items: list[Item]) -> None:
    """The next one may be a film of hours, and a kill must not cost the last one's work."""
    noted = threading.Event()
    finish = journal.finish
    journal.finish = lambda item, outcome: (finish(item, outcome), noted.set())[0]  # type: ignore[method-assign]

    def wait(item: Item, picture: Picture) -> float:
        assert item.name == "0.png" or noted.wait(20), "the first one's result waits for the second one"
        return process(item, picture)

    run_batch(items[:2], journal, Work(wait, write, read_picture), lambda item, outcome: None)
    assert journal.states()["1.png"] == "done"


def test_a_full_disk_ends_the_run_and_what_is_left_waits(items: list[Item], tmp_path: Path) -> None:
    def full(item: Item, picture: Picture, mean: float) -> Outcome:
        raise FullDiskError("cannot write")

    with closing(Journal(tmp_path / "out")) as own:
        own.add(items)
        with pytest.raises(FullDiskError):
            run_batch(items, own, Work(process, full, read_picture), lambda item, outcome: None)
    with closing(Journal(tmp_path / "out")) as again:
        states = again.states()
    assert {name for name, state in states.items() if state == "waiting"} >= {"0.png", "1.png", "5.png"}


def test_signs_of_life_go_on_once_the_journal_can_be_written_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film may be at work for hours, in which nothing else is written."""
    beats = iter([ad.AutoDIRError("locked"), None])
    beaten = threading.Event()

    def beat() -> None:
        if error := next(beats, None):
            raise error
        beaten.set()

    monkeypatch.setattr(run, "BEAT", 0.001)
    monkeypatch.setattr(journal, "beat", beat)
    with run.heartbeat(journal):
        assert beaten.wait(20)


def test_films_are_not_claimed_ahead(tmp_path: Path) -> None:
    """Another process or device takes the second one while this is hours at the first."""
    films = [Item(tmp_path / f"{number}.mkv", f"{number}.mkv") for number in range(3)]
    for film in films:
        film.source_path.touch()
    own = Journal(tmp_path / "out")
    own.add(films)
    seen: list[list[str]] = []

    def look(item: Item, source: Path) -> None:
        seen.append([name for name, state in own.states().items() if state == "working"])

    work = Work(look, lambda item, source, result: Outcome("done"), lambda path: path)
    run_batch(films, own, work, lambda item, outcome: None)
    own.close()
    assert all(item.name in working for item, working in zip(films, seen, strict=True))
    assert max(len(working) for working in seen) <= 2, "the one at work, and at most the one being written"
    assert films[2].name not in seen[0]
