"""The layers of the house: each folder imports those that stand below it here, no others, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("autodir_core", "autodir_lab", "autodir_client", "nodes")
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths", "latent_preview"}
HOST |= {"node_helpers", "server"}

WORDS = frozenset({"choices", "errors", "labels", "settings", "outputs", "optional_imports", "devices"})
"""The core's own files that every folder may import; its others are the model and its loop, above the folders."""

CORE = {
    "words": set(),
    "serialization": {"words"},
    "networks": {"words"},
    "checkpoint": {"networks", "serialization"},
    "diffusion": {"words"},
    "imaging": {"serialization"},
    "stages": {"networks", "checkpoint", "imaging"},
    "tiling": {"networks", "diffusion", "imaging", "stages"},
    "model": {"networks", "checkpoint", "diffusion", "imaging", "stages", "tiling"},
    "reporting": {"imaging"},
    "degrade": {"imaging"},
    "batch": {"cli", "model", "imaging", "reporting", "serialization"},
    "cli": {"model", "tiling", "checkpoint", "imaging", "reporting", "degrade", "serialization"},
}
"""Room of the core -> the rooms that it imports, apart from the words."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imports(name: str) -> Iterator[str]:
    """Every module or name that a file imports, absolutely, those inside functions too."""
    path = FILES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


def inner_imports(name: str) -> set[str]:
    """The files of ours that a file imports."""
    found = {one if one in FILES else one.rpartition(".")[0] for one in imports(name)}
    return {one for one in found if one in FILES and one != name}


def room(module: str) -> str:
    """The folder of the core that a module stands in, "words" or "model" for the core's own files."""
    first = module.split(".")[1] if "." in module else "__init__"
    if (ROOT / "autodir_core" / first).is_dir():
        return first
    if first == "__main__":
        return "cli"
    return "words" if first in WORDS else "model"


def core_edges() -> set[tuple[str, str]]:
    modules = [name for name in FILES if name.startswith("autodir_core.")]
    edges = {(room(name), room(other)) for name in modules for other in inner_imports(name)}
    return {(one, other) for one, other in edges if one != other and other != "words"}


def test_the_rooms_of_the_core_import_exactly_what_the_table_says():
    said = {(one, other) for one, others in CORE.items() for other in others if other != "words"}
    assert core_edges() - said == set(), "imports that the table does not allow"
    assert said - core_edges() == set(), "rules that no import needs any longer"


def test_no_circle():
    try:
        TopologicalSorter({name: inner_imports(name) for name in FILES}).prepare()
    except CycleError as error:
        pytest.fail(f"circular import: {' -> '.join(reversed(error.args[1]))}")


@pytest.mark.parametrize(
    ("package", "others"),
    [
        ("autodir_core", set()),
        ("autodir_lab", {"autodir_core"}),
        ("autodir_client", {"autodir_core"}),
        ("nodes", {"autodir_core"}),
    ],
)
def test_packages_import_downwards(package, others):
    """The core knows nobody; laboratory, client and nodes know the core alone."""
    found = {other.split(".")[0] for name in FILES if name.split(".")[0] == package for other in inner_imports(name)}
    assert found - {package} == others


def test_only_one_folder_knows_comfyui():
    for name in FILES:
        roots = {one.split(".")[0] for one in imports(name)}
        assert not roots & HOST or name.startswith("nodes.comfy."), name
