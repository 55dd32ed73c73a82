"""What the graph promises: ids, types, tooltips, and a light import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]

NODES = tuple(json.loads(Path(__file__).with_name("contract.json").read_text(encoding="utf-8")))
"""The ids of all nodes; what they promise is tested in test_contract.py."""


def inputs(node) -> dict[str, tuple]:
    types = node.INPUT_TYPES()
    return {**types["required"], **types.get("optional", {})}


def test_every_node_has_a_title(pack):
    for name, title in pack.NODE_DISPLAY_NAME_MAPPINGS.items():
        assert title.replace(" ", "") == name == pack.NODE_CLASS_MAPPINGS[name].__name__


def test_registries_find_the_ids_in_the_source():
    """They do not run the code: a dictionary with the names as constants is all they understand."""
    source = (ROOT / "__init__.py").read_text(encoding="utf-8")
    (literal,) = re.findall(r"^ *NODE_CLASS_MAPPINGS = {([^}]*)}", source, re.M)
    assert re.findall(r'"([^"]*)"\s*:\s*[^,\n]+', literal) and sorted(re.findall(r'"(\w+)":', literal)) == sorted(NODES)


@pytest.mark.parametrize("name", NODES)
def test_every_socket_is_explained(pack, name):
    node = pack.NODE_CLASS_MAPPINGS[name]
    assert node.CATEGORY == "AutoDIR" and len(node.DESCRIPTION) > 40 and node.SEARCH_ALIASES
    assert len(node.OUTPUT_TOOLTIPS) == len(node.RETURN_TYPES)
    texts = [*node.OUTPUT_TOOLTIPS, *(options["tooltip"] for _, options in inputs(node).values())]
    assert all(len(text) > 20 and text.endswith(".") for text in texts)
    assert hasattr(node, node.FUNCTION)


def test_what_the_page_gets_is_json(pack):
    for node in pack.NODE_CLASS_MAPPINGS.values():
        json.dumps(node.INPUT_TYPES())


def test_the_embedded_model_is_the_default(pack):
    choices, _ = pack.NODE_CLASS_MAPPINGS["AutoDIRLoadModel"].INPUT_TYPES()["required"]["file"]
    assert choices == ["autodir-mini (embedded)", "tiny.safetensors"]


def test_the_model_folder_is_added_to_what_the_user_configured(pack):
    folders, extensions = pack.folders.folder_paths.folder_names_and_paths["autodir"]
    assert folders[0] == "from/a/yaml/file"
    assert Path(folders[1]) == Path("models/autodir")
    assert {".safetensors", ".ckpt"} <= extensions


def test_importing_the_pack_is_light():
    """None of the packages that take seconds."""
    code = (
        "import sys, torch, numpy, safetensors.torch, PIL.Image, PIL.ImageCms, PIL.ImageDraw\n"
        "from tests.nodes.conftest import load_pack, stand_in_modules\n"
        "sys.modules.update(stand_in_modules())\n"
        "load_pack()\n"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "numpy" in loaded
    assert {"diffusers", "open_clip", "transformers", "ftfy"} & set(loaded) == set()


def test_without_a_package_the_entry_point_does_nothing():
    """A test runner that walks over the root meets it so."""
    done = subprocess.run([sys.executable, "__init__.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TestWorkflows:
    """The shipped graphs, as files."""

    FILES = pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.json")), ids=lambda path: path.stem)

    def test_each_has_an_api_version(self):
        folders = (ROOT / "workflows", ROOT / "workflows/api")
        pages, prompts = ({path.stem for path in folder.glob("*.json")} for folder in folders)
        assert pages == prompts and {"restore", "step_by_step"} < pages

    @FILES
    def test_the_page_and_the_api_format_agree(self, path):
        graph = json.loads(path.read_text(encoding="utf-8"))
        prompt = json.loads((path.parent / "api" / path.name).read_text(encoding="utf-8"))
        drawn = {str(node["id"]): node["type"] for node in graph["nodes"] if node["type"] != "MarkdownNote"}
        assert drawn == {number: node["class_type"] for number, node in prompt.items()}
        links = {(str(link[1]), link[2], str(link[3])) for link in graph["links"]}
        assert links == {
            (*value, number)
            for number, node in prompt.items()
            for value in node["inputs"].values()
            if isinstance(value, list)
        }

    @FILES
    def test_each_is_fit_to_be_shared(self, path):
        graph = json.loads(path.read_text(encoding="utf-8"))
        values = [value for node in graph["nodes"] for value in node.get("widgets_values") or []]
        assert "randomize" not in values
        assert "autodir-mini (embedded)" in values
        assert 10_000 < (ROOT / f"docs/graphs/{path.stem}.jpg").stat().st_size < 150_000

    @FILES
    def test_its_card_shows_a_picture_that_is_small_and_square(self, path):
        """The page shows the picture of a template in a square of 230 pixels, where no graph can be read."""
        picture = path.with_suffix(".jpg")
        with Image.open(picture) as card:
            assert card.width == card.height == 480
        assert picture.stat().st_size < 50_000

    def test_every_release_is_kept(self):
        """A later one must run them too: at a release copy workflows/api there, and never change a folder."""
        (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
        kept = ROOT / "tests/host/releases" / version
        assert len(list(kept.glob("*.json"))) >= 8

    def test_there_is_one_folder_of_them(self):
        """A second folder of examples would make ComfyUI serve only one of the two."""
        names = r"(example|template)s?|(example|template)_?workflows?"
        assert not [folder for folder in ROOT.iterdir() if folder.is_dir() and re.fullmatch(names, folder.name)]
