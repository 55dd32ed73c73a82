"""Folders are listed in natural order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autodir_core.errors import InputError
from autodir_core.imaging.paths import FILM_SUFFIXES, fit_name, list_pictures


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

    def test_hidden_folders_are_left_out_unless_given(self, tmp_path):
        self.make(tmp_path, "a.png", ".thumbs/b.png", "sub/.Trash-1000/c.png", ".own/d.png")
        given = [tmp_path, tmp_path / ".own"]
        assert [path.name for path in list_pictures(given, recursive=True)] == ["d.png", "a.png"]

    def test_folders_that_are_left_out_are_told(self, tmp_path, caplog, monkeypatch):
        self.make(tmp_path, "in/a.png", "in/locked/b.png", "other/c.png")
        (tmp_path / "in/link").symlink_to(tmp_path / "other")
        scan = os.scandir

        def refuse(path):
            if str(path).endswith("locked"):
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)  # the administrator, who may run this, can read everything
        assert [path.name for path in list_pictures(tmp_path / "in", recursive=True)] == ["a.png"]
        told = sorted(caplog.messages)
        assert told[0].startswith(f"{tmp_path}/in/link is a link to a folder")
        assert told[1].startswith(f"{tmp_path}/in/locked cannot be read")

    def test_each_file_once_and_files_as_given(self, tmp_path):
        self.make(tmp_path, "a.png", "raw.data")
        found = list_pictures([tmp_path, tmp_path / "a.png", tmp_path / "raw.data"])
        assert [path.name for path in found] == ["a.png", "raw.data"]

    def test_nothing_found(self, tmp_path):
        with pytest.raises(InputError, match=r"no pictures in .*looked for .*\.png"):
            list_pictures([tmp_path])
        with pytest.raises(InputError, match=r"no pictures or films in .*looked for .*\.mkv, .*\.png"):
            list_pictures([tmp_path], others=FILM_SUFFIXES)

    def test_more_suffixes(self, tmp_path, caplog):
        names = ["1.jfif", "2.jpe", "3.avif", "4.jp2", "5.tga", "6.dib", "7.pnm"]
        self.make(tmp_path, *names)
        assert [path.name for path in list_pictures(tmp_path)] == names
        assert not caplog.records

    def test_what_is_passed_over_is_named_once(self, tmp_path, caplog):
        self.make(tmp_path, "a.png", "b.xyz", "old/c.png", "Thumbs.db", ".hidden", *(f"{n}.txt" for n in range(5)))
        for _ in range(2):
            list_pictures(tmp_path)
        (record,) = caplog.records
        assert "passed over 0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 2 more" in record.getMessage()
        list_pictures([tmp_path / "old", tmp_path / "a.png"])
        assert len(caplog.records) == 1

    @pytest.mark.parametrize("there", [True, False])
    def test_heic_where_its_package_is(self, tmp_path, monkeypatch, caplog, there):
        monkeypatch.setattr("autodir_core.imaging.paths.has_heif", lambda: there)
        self.make(tmp_path, "a.png", "b.heic")
        assert [path.name for path in list_pictures(tmp_path)] == ["a.png", "b.heic"][: 1 + there]
        assert ("passed over b.heic" in caplog.text) is not there

    def test_what_to_do_with_what_is_passed_over(self, tmp_path, monkeypatch, caplog):
        monkeypatch.setattr("autodir_core.imaging.paths.has_heif", lambda: False)
        self.make(tmp_path, "a.png", "b.HEIC", "c.nef", "d.dng", "e.mp4")
        list_pictures(tmp_path)
        assert caplog.messages == [
            f"{tmp_path}: passed over b.HEIC, c.nef, d.dng, e.mp4; of a folder the pictures are taken; HEIC needs the "
            "package pillow-heif; develop camera raw files to TIFF or JPEG first; the command batch restores and "
            "assesses films"
        ]
        list_pictures(tmp_path, others=FILM_SUFFIXES)
        assert "films are taken" in caplog.messages[1] and "command batch" not in caplog.messages[1]

    @pytest.mark.skipif(os.name == "nt", reason="pipes are POSIX")
    def test_what_is_no_file_and_no_folder(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        for path, words in (
            (tmp_path / "pipe", "neither"),
            (tmp_path / ("x" * 300), "too long"),
            ("a\0b", "cannot be"),
        ):
            with pytest.raises(InputError, match=words):
                list_pictures([path])

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match="does not exist"):
            list_pictures([tmp_path / "nowhere"])


class TestNames:
    def test_short_ones_stay(self):
        assert fit_name("a" * 250, "_x.png"[:5]) == "a" * 250 + "_x.pn"

    @pytest.mark.parametrize("stem", ["a" * 251, "照" * 85, "caf\udce9" * 60])
    def test_long_ones_fit_and_differ(self, stem):
        names = {fit_name(stem + more, "_restored.png") for more in ("", "b", "c")}
        assert len(names) == 3
        for name in names:
            assert len(os.fsencode(name)) <= 255 and name.endswith("_restored.png")
