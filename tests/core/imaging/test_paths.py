"""Folders are listed in natural order."""

from __future__ import annotations

from pathlib import Path

import pytest

from autodir_core.errors import InputError
from autodir_core.imaging.paths import list_pictures


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
