"""Files that are being written say by whom; what nobody writes any more is removed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autodir_core.serialization import temporary


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has the number of one that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    monkeypatch.setattr(temporary.os, "getpid", lambda: process.pid)


def test_what_this_process_writes_stays(tmp_path: Path) -> None:
    own, odd = tmp_path / temporary.temporary_name(".png"), tmp_path / ".0123456789abcdef.png"
    for path in (own, odd):
        path.touch()
    assert temporary.is_temporary(own) and not temporary.is_temporary(odd)
    temporary.remove_left(tmp_path)
    assert own.exists() and odd.exists()


def test_what_a_process_that_has_ended_wrote_is_removed(tmp_path: Path, ended: None) -> None:
    file, folder = tmp_path / "a" / temporary.temporary_name(".png"), tmp_path / temporary.temporary_name()
    (folder / "results").mkdir(parents=True)
    file.parent.mkdir()
    for path in (file, folder / "results/1.png", tmp_path / "a/1.png"):
        path.touch()
    temporary.remove_left(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["a", "a/1.png"]
    temporary.remove_left(tmp_path / "gone")


def test_another_machine_has_a_week(tmp_path: Path, ended: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary.platform, "node", lambda: "elsewhere")
    paths = [tmp_path / temporary.temporary_name(".png") for _ in range(2)]
    for path, days in zip(paths, (1, 8), strict=True):
        path.touch()
        os.utime(path, (time.time() - days * 86400,) * 2)
    monkeypatch.undo()
    temporary.remove_left(tmp_path)
    assert paths[0].exists() and not paths[1].exists()
