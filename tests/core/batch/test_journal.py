"""The journal: nothing is done twice, and nothing is lost by whoever is gone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import autodir_core as ad
from autodir_core.batch.database import APPLICATION
from autodir_core.batch.journal import Journal, Outcome
from autodir_core.batch.planning.item import Item
from autodir_core.batch.run import note_outcome
from autodir_core.batch.staging import refuse_taken
from autodir_core.batch.workers import presence
from autodir_core.errors import AutoDIRError


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file in files:
        file.touch()
    return [Item(file, file.name) for file in files]


def test_a_picture_is_taken_once(journal: Journal, items: list[Item], tmp_path: Path) -> None:
    other = Journal(tmp_path / "out")
    assert journal.claim(items[0]) and not other.claim(items[0]) and not journal.claim(items[0])
    assert other.claim(items[1])
    journal.finish(items[0], Outcome("done", "noise"))
    assert not other.claim(items[0])
    other.close()
    assert journal.states() == {"0.png": "done", "1.png": "waiting", "2.png": "waiting"}, "closed: given back"


@pytest.mark.parametrize("end", ["killed", "silent", "other machine"])
def test_what_a_lost_process_had_is_taken_back(
    journal: Journal, items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    lost = Journal(tmp_path / "out")
    assert lost.claim(items[0])
    assert not journal.claim(items[0])
    if end == "killed":
        monkeypatch.setattr(presence, "process_exists", lambda number: False)
    else:
        if end == "other machine":
            monkeypatch.setattr(presence, "machine", lambda: "elsewhere")
        later = time.time() + presence.LEASE + 1
        monkeypatch.setattr(presence.time, "time", lambda: later)
        journal.beat()
    assert journal.claim(items[0])


def test_a_lost_process_whose_clock_was_ahead_is_taken_back_too(
    journal: Journal, items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is set back makes old signs of life look new for hours."""
    monkeypatch.setattr(presence, "machine", lambda: "elsewhere")
    now = time.monotonic()
    with monkeypatch.context() as ahead:
        ahead.setattr(presence.time, "time", lambda: time.time_ns() / 1e9 + 7200)
        lost = Journal(tmp_path / "out")
        assert lost.claim(items[0])
    assert not journal.claim(items[0])
    monkeypatch.setattr(presence.time, "monotonic", lambda: now + presence.LEASE / 2)
    assert not journal.claim(items[0])
    lost.beat()
    monkeypatch.setattr(presence.time, "monotonic", lambda: now + presence.LEASE + 1)
    journal.beat()
    assert not journal.claim(items[0]), "it gave a sign within the lease"
    monkeypatch.setattr(presence.time, "monotonic", lambda: now + 2 * presence.LEASE + 2)
    journal.beat()
    assert journal.claim(items[0])


def test_a_journal_begun_before_files_were_noted_knows_its_results(journal: Journal, items: list[Item]) -> None:
    assert journal.claim(items[0])
    journal.finish(items[0], Outcome("done", result="0.png"))
    with journal.writing() as database:
        database.execute("DROP TABLE files")
    with closing(Journal(journal.path.parent)) as later:
        assert later.files() == {"0.png"}


def test_only_what_a_lost_process_was_about_to_move_is_the_batchs_own(
    journal: Journal, items: list[Item], tmp_path: Path
) -> None:
    """It moved a result into place and could not note that any more; of what it only had claimed there is nothing."""
    with closing(Journal(tmp_path / "out")) as lost:
        assert lost.claim(items[0]) and lost.claim(items[1])
        refuse_taken(lost, tmp_path / "out", False, items[0], "0.png")
        (tmp_path / "out/0.png").touch()
    assert journal.claim(items[0]) and journal.claim(items[1])
    (tmp_path / "out/1.png").touch()
    refuse_taken(journal, tmp_path / "out", False, items[0], "0.png")
    with pytest.raises(ad.InputError, match=r"1\.png was put there during the run"):
        refuse_taken(journal, tmp_path / "out", False, items[1], "1.png")
    assert journal.files() == {"0.png"}


def test_a_changed_file_waits_again(journal: Journal, items: list[Item]) -> None:
    for item in items:
        assert journal.claim(item)
        journal.finish(item, Outcome("done"))
    items[1].source.write_bytes(b"more")
    journal.add(items)
    assert journal.states() == {"0.png": "done", "1.png": "waiting", "2.png": "done"}


def test_what_has_lost_its_result_waits_again(journal: Journal, items: list[Item]) -> None:
    for item, result in zip(items[:2], ("0.png", ""), strict=True):
        assert journal.claim(item)
        journal.finish(item, Outcome("done", result=result))
    assert journal.claim(items[2]) and journal.results() == {"0.png": "0.png"}
    journal.redo(["0.png", "2.png"])
    assert journal.states() == {"0.png": "waiting", "1.png": "done", "2.png": "working"}


def test_a_missing_picture_waits_again_once_it_is_there(journal: Journal, tmp_path: Path) -> None:
    item = Item(tmp_path / "late.png", "late.png")
    journal.add([item])
    assert journal.claim(item)
    journal.finish(item, Outcome("failed", error="does not exist"))
    journal.add([item])
    assert journal.states()["late.png"] == "failed"
    item.source_path.write_bytes(b"there")
    journal.add([item])
    assert journal.states()["late.png"] == "waiting"


def test_a_journal_that_is_gone_is_told(journal: Journal, items: list[Item]) -> None:
    moved = journal.path.rename(journal.path.with_name("moved"))
    with pytest.raises(AutoDIRError, match="is gone; run the same command again"):
        journal.claim(items[0])
    moved.rename(journal.path)


def test_only_what_failed_is_tried_again(journal: Journal, items: list[Item]) -> None:
    journal.claim(items[0])
    journal.finish(items[0], Outcome("failed", error="broken"))
    journal.claim(items[1])
    journal.finish(items[1], Outcome("clean"))
    assert journal.retry_failed(items[1:]) == 0 and journal.retry_failed(items) == 1
    assert journal.states() == {"0.png": "waiting", "1.png": "clean", "2.png": "waiting"}


def test_other_settings_are_refused_with_what_differs(journal: Journal, tmp_path: Path) -> None:
    journal.agree({"steps": 4, "labels": ["haze"]})
    journal.agree({"steps": 4, "labels": ["haze"]})
    with pytest.raises(ad.InputError, match=r"steps 4, now 12; give those, or another output folder"):
        journal.agree({"steps": 12, "labels": ["haze"]})


def test_names_that_are_no_utf8(journal: Journal, tmp_path: Path) -> None:
    source = Path(f"{tmp_path}/caf\udce9.png")
    source.touch()
    item = Item(source, "caf\udce9.png")
    journal.add([item])
    assert journal.claim(item) and journal.rows()[-1]["source"] == str(source)
    journal.finish(item, Outcome("done"))
    journal.add([item])
    assert journal.states()[item.name] == journal.rows()[-1]["state"] == "done"


def test_a_full_disk_is_one_line(journal: Journal, items: list[Item]) -> None:
    (pages,) = journal.database.execute("PRAGMA page_count").fetchone()
    journal.database.execute(f"PRAGMA max_page_count = {pages}")
    more = [Item(items[0].source, f"{'x' * 200}{number}.png") for number in range(1000)]
    with pytest.raises(AutoDIRError, match=r"cannot write the journal .*full"):
        journal.add(more)
    assert len(journal.states()) == len(items)


def test_a_picture_that_changes_at_work_is_done_again(journal: Journal, items: list[Item], tmp_path: Path) -> None:
    """What it was is not moved to its place, and not noted; nor what a process was long silent about."""
    assert journal.claim(items[0]) and journal.holds(items[0])
    items[0].source.write_bytes(b"more")
    with closing(Journal(tmp_path / "out")) as other:
        other.add(items)
    with pytest.raises(ad.InputError, match=r"0\.png has changed while it was at work"):
        refuse_taken(journal, tmp_path / "out", False, items[0], "0.png")
    note_outcome(journal, tmp_path / "out", items[0], Outcome("done", result="0.png"))
    journal.finish(items[0], Outcome("done", result="0.png"))
    assert journal.states()["0.png"] == "waiting" and journal.claim(items[0])


def test_what_was_never_read_is_no_ones(journal: Journal, items: list[Item], tmp_path: Path) -> None:
    """Names of pictures that were noted, and not done before their folder was moved, are free."""
    assert journal.claim(items[1])
    journal.finish(items[1], Outcome("failed", error="broken"))
    (tmp_path / "moved").mkdir()
    moved = [replace(item, source=tmp_path / "moved" / item.name) for item in items]
    for item, other in zip(items, moved, strict=True):
        shutil.copy2(item.source, other.source)
    assert journal.others(moved) == {item.name: str(item.source) for item in items}, "they are yet to be done"
    for item in items:
        item.source_path.unlink()
    assert not journal.others(moved)
    journal.add(moved)
    assert set(journal.states().values()) == {"waiting"}


def test_bytes_of_names_that_are_no_utf_8_are_noted(journal: Journal, items: list[Item]) -> None:
    odd = os.fsdecode(b"caf\xe9")
    assert journal.claim(items[0])
    journal.finish(items[0], Outcome("failed", decision=odd, error=f"{odd} is broken", facts={"name": odd}))
    assert journal.rows()[0]["error"] == r"caf\udce9 is broken"
    journal.agree({"prompt": odd})


def test_two_that_begin_at_once_agree_on_the_place(journal: Journal, tmp_path: Path) -> None:
    journal.keep_to(tmp_path / "a", tmp_path / "out")
    with pytest.raises(ad.InputError, match="is that of the results in"):
        journal.keep_to(tmp_path / "b", tmp_path / "out")


def test_settings_that_differ_are_told_as_options(journal: Journal) -> None:
    journal.agree({"assess_only": False, "depth": None})
    with pytest.raises(ad.InputError, match="--assess-only off, now on; --depth not given, now 16; give those"):
        journal.agree({"assess_only": True, "depth": 16})


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ad.InputError, match="cannot keep a journal"):
        Journal(tmp_path / "file")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/batch.sqlite").write_bytes(b"no database, but long enough to be looked at as one" * 40)
    with pytest.raises(ad.InputError, match="cannot keep a journal"):
        Journal(tmp_path / "out")


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE mine (value)",
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE pictures (name TEXT, owner TEXT, result TEXT, state TEXT, number INTEGER)",
        "CREATE VIEW pictures AS SELECT 1 AS name",
        "PRAGMA user_version = 7",
    ],
)
def test_nothing_is_added_to_the_database_of_another_program(tmp_path: Path, made: str) -> None:
    with closing(sqlite3.connect(tmp_path / "batch.sqlite")) as other:
        other.execute(made)
    before = (tmp_path / "batch.sqlite").read_bytes()
    with pytest.raises(ad.InputError, match=r"batch\.sqlite is the database of another program; choose another"):
        Journal(tmp_path)
    assert (tmp_path / "batch.sqlite").read_bytes() == before


def test_a_journal_is_known_whatever_was_done_to_it(journal: Journal, items: list[Item]) -> None:
    """`ANALYZE` adds a table of SQLite's; those from before there was a mark have the tables alone."""
    for mark, change in (
        (0, "ANALYZE"),
        (0, "DROP TABLE output"),
        (APPLICATION, "CREATE VIEW mine AS SELECT 1"),
    ):
        journal.database.execute(change)
        journal.database.execute(f"PRAGMA application_id = {mark}")
        with closing(Journal(journal.path.parent)) as again:
            assert len(again.states()) == len(items)


def test_what_an_error_interrupts_is_taken_back(journal: Journal) -> None:
    with pytest.raises(KeyboardInterrupt), journal.writing() as database:
        database.execute("UPDATE pictures SET state = 'done'")
        raise KeyboardInterrupt
    assert set(journal.states().values()) == {"waiting"}
    assert journal.retry_failed([]) == 0, "and the journal goes on"
