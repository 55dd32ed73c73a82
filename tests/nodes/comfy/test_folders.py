"""The example pictures of the shared workflows, which Load Image looks for in ComfyUI's input folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nodes.conftest import StandIn

ASSETS = Path(__file__).resolve().parents[3] / "autodir_core/assets"
NAMES = ("autodir_clean.png", "autodir_dark.png", "autodir_sample.png")


@pytest.fixture
def folders(comfy):
    return comfy("folders")


@pytest.fixture
def folder(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(folders.folder_paths, "get_input_directory", lambda: str(tmp_path / "input"))
    return tmp_path / "input"


def test_loading_the_pack_writes_nothing(pack):
    assert list(StandIn.input.iterdir()) == []


def test_only_the_named_pictures_are_copied(folders, folder):
    assert folders.copy_examples(["small.png", "autodir_dark.png", 3, None, ["1", 0]]) == ["autodir_dark.png"]
    (path,) = folder.iterdir()
    assert path.read_bytes() == (ASSETS / "dark.png").read_bytes()


def test_every_picture_is_known(folders, folder):
    assert tuple(f"autodir_{path.name}" for path in sorted(ASSETS.glob("*.png"))) == NAMES
    assert folders.copy_examples(NAMES) == list(NAMES)


def test_a_file_of_that_name_stays(folders, folder):
    folder.mkdir()
    (folder / "autodir_dark.png").write_text("the user's own")
    assert folders.copy_examples(["autodir_dark.png"]) == []
    assert (folder / "autodir_dark.png").read_text() == "the user's own"


def test_a_folder_that_cannot_be_written_is_one_line_of_the_log(folders, folder, caplog):
    folder.write_text("a file in its place")
    assert folders.copy_examples(NAMES) == []
    (record,) = caplog.records
    assert "cannot write into" in record.getMessage() and "\n" not in record.getMessage()
