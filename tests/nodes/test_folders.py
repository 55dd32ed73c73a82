"""ComfyUI's folders as `nodes/comfy/folders.py` uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nodes.conftest import StandIn


@pytest.fixture
def folders(comfy):
    return comfy("folders")


class TestExamples:
    """The pictures of the shared workflows, which Load Image looks for in the input folder."""

    ASSETS = Path(__file__).resolve().parents[2] / "autodir_core/assets"

    @pytest.fixture
    def folder(self, folders, tmp_path, monkeypatch):
        monkeypatch.setattr(folders.folder_paths, "get_input_directory", lambda: str(tmp_path / "input"))
        return tmp_path / "input"

    def test_loading_the_pack_has_put_them_there(self, pack):
        found = {path.name: path.read_bytes() for path in StandIn.input.iterdir()}
        kept = {path.name: path.read_bytes() for path in self.ASSETS.glob("*.png")}
        assert found == {f"autodir_{name}": content for name, content in kept.items()}

    def test_a_file_of_that_name_stays(self, folders, folder):
        folder.mkdir()
        (folder / "autodir_dark.png").write_text("the user's own")
        folders.offer_examples()
        assert (folder / "autodir_dark.png").read_text() == "the user's own"
        assert len(list(folder.iterdir())) == len(folders.EXAMPLES)

    def test_nothing_is_written_when_all_are_there(self, folders, folder, monkeypatch):
        folders.offer_examples()
        monkeypatch.delattr(folders.shutil, "copyfile")
        folders.offer_examples()

    def test_a_folder_that_cannot_be_written_is_one_line_of_the_log(self, folders, folder, caplog):
        folder.write_text("a file in its place")
        folders.offer_examples()
        (record,) = caplog.records
        assert "cannot write into" in record.getMessage() and "\n" not in record.getMessage()
