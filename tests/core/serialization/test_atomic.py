"""A file is replaced whole or stays as it was, and leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from autodir_core.errors import FullDiskError, InputError
from autodir_core.serialization.atomic import atomic_path, guarded, one_line, write_text


def denied(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_line_keeps_names_as_they_are():
    assert one_line(ValueError("a  b.png is odd\n  and cut\n\noff ")) == "a  b.png is odd and cut off"
    assert one_line(ValueError()) == "ValueError"


class TestAtomicPath:
    def test_a_guard_keeps_what_is_there(self, tmp_path):
        target = tmp_path / "report.json"
        target.write_text("mine")

        def refuse(path: Path) -> None:
            raise InputError(f"{path} is there")

        with pytest.raises(InputError, match="is there"), guarded(refuse):
            write_text(target, "{}")
        assert target.read_text() == "mine" and leftovers(tmp_path) == ["report.json"]
        write_text(target, "{}")
        assert target.read_text() == "{}"

    def test_missing_folders_are_made_and_nothing_else_stays(self, tmp_path):
        with atomic_path(tmp_path / "new" / "report.json") as temporary:
            assert temporary.parent == tmp_path / "new" and temporary.suffix == ".json"
            temporary.write_text("{}")
        assert leftovers(tmp_path / "new") == ["report.json"]

    @pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
    def test_an_interrupted_write_keeps_the_old_file(self, tmp_path, stop):
        (tmp_path / "a.txt").write_text("old")
        with pytest.raises(stop), atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise stop
        assert leftovers(tmp_path) == ["a.txt"]
        assert (tmp_path / "a.txt").read_text() == "old"

    def test_a_folder_is_no_place_for_a_file(self, tmp_path):
        with pytest.raises(InputError, match="it is a folder"), atomic_path(tmp_path):
            pass

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="cannot write into"), atomic_path(tmp_path / "file" / "a.png"):
            pass

    def test_a_read_only_folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Path, "touch", denied)
        with pytest.raises(InputError, match="Permission denied; choose another folder"), atomic_path(tmp_path / "a"):
            pass

    def test_a_disk_without_room_for_another_file(self, tmp_path, monkeypatch):
        def full(*arguments, **options):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "touch", full)
        with pytest.raises(FullDiskError, match="No space left on device"), atomic_path(tmp_path / "a"):
            pass

    def test_a_target_that_another_program_holds(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "replace", denied)
        with pytest.raises(InputError, match="open in another program"), atomic_path(tmp_path / "a.png"):
            pass
        assert leftovers(tmp_path) == []

    @pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
    def test_the_file_has_ordinary_permissions(self, tmp_path):
        (tmp_path / "ordinary").touch()
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("x")
        assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_names_that_are_no_utf_8_come_back_from_json(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    write_text(tmp_path / "a.json", json.dumps({"file": name, "other": "café"}, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"file": name, "other": "café"}
