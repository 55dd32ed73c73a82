"""Files are replaced whole or not at all, and folders are listed in natural order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autodir_core.errors import InputError
from autodir_core.imaging.paths import atomic_path, list_pictures


def denied(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestAtomicPath:
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


class TestListing:
    def make(self, folder: Path, *names: str) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()

    def test_natural_order_and_only_pictures(self, tmp_path):
        self.make(tmp_path, "f10.png", "f2.PNG", "F1.jpg", "notes.txt", ".hidden.png", "sub/f3.png")
        assert [path.name for path in list_pictures(tmp_path)] == ["F1.jpg", "f2.PNG", "f10.png"]

    def test_recursive(self, tmp_path):
        self.make(tmp_path, "s10/a.png", "s9/a.png", "b.png")
        found = [path.relative_to(tmp_path).as_posix() for path in list_pictures([tmp_path], recursive=True)]
        assert found == ["b.png", "s9/a.png", "s10/a.png"]

    def test_each_file_once_and_files_as_given(self, tmp_path):
        self.make(tmp_path, "a.png", "raw.data")
        found = list_pictures([tmp_path, tmp_path / "a.png", tmp_path / "raw.data"])
        assert [path.name for path in found] == ["a.png", "raw.data"]

    def test_nothing_found(self, tmp_path):
        with pytest.raises(InputError, match=r"no pictures in .*looked for .*\.png"):
            list_pictures([tmp_path])

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match="does not exist"):
            list_pictures([tmp_path / "nowhere"])
