"""The layers of the house: imports run downwards only, never in a circle, and the core does not know ComfyUI."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "autodir_core"

# Lowest first. A room may import the layers below and, without a circle, its neighbours. Every room stands here.
LAYERS = (
    ("errors", "packages", "labels", "records"),
    ("images", "files", "color"),
    ("schedule", "guidance", "samplers", "noise", "tiles"),
    ("nafnet", "shapes", "networks", "keys", "archive", "checkpoint", "devices"),
    ("assess", "condition", "latent", "correct"),
    ("model", "policy"),
    ("restore",),
    ("report", "compare", "bars"),
    ("__init__",),
    ("assets", "degrade", "automation"),
    ("training",),
    ("evaluation",),
    ("studies",),
    ("batch",),
    ("cli",),
    ("__main__",),
)
LEVELS = {name: height for height, layer in enumerate(LAYERS) for name in layer}
# Sub-packages that see less than everything below them.
TOP_LAYER = {"degrade": LEVELS["images"], "automation": LEVELS["images"], "training": LEVELS["policy"]}
BESIDES = {"training": {"degrade", "assets"}}
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths", "latent_preview"}
HOST |= {"node_helpers", "nodes", "server"}


def modules(folder: Path) -> dict[str, Path]:
    """Dotted name inside `folder` -> file; the folder's own __init__ is "__init__", a sub-package has its own name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        *parents, stem = path.relative_to(folder).with_suffix("").parts
        found[".".join(parents if parents and stem == "__init__" else [*parents, stem])] = path
    return found


def imports(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """(level, module, names) of every import statement, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]


def absolute_roots(path: Path) -> set[str]:
    return {module.split(".")[0] for level, module, _ in imports(path) if level == 0}


def inner_imports(name: str, known: dict[str, Path]) -> set[str]:
    """The modules of the core that module `name` imports relatively."""
    parts = name.split(".")
    package = parts if known[name].name == "__init__.py" and name != "__init__" else parts[:-1]
    found = set()
    for level, module, names in imports(known[name]):
        if level:
            base = [*package[: len(package) - level + 1], *filter(None, module.split("."))]
            found |= {target(base, imported, known) for imported in names}
    return found - {name}


def target(base: list[str], imported: str, known: dict[str, Path]) -> str:
    """`from base import imported` means a module where there is one of that name, else a name inside `base`."""
    inner = ".".join([*base, imported])
    return inner if inner in known else ".".join(base) or "__init__"


def room(module: str) -> str:
    return module.split(".")[0]


def level(module: str) -> int:
    return LEVELS.get(room(module), len(LAYERS))


def allowed(importer: str, imported: str) -> bool:
    if room(importer) == room(imported) or room(imported) in BESIDES.get(room(importer), ()):
        return True
    return level(imported) <= TOP_LAYER.get(room(importer), level(importer))


KNOWN = modules(CORE)


def test_every_room_has_its_layer():
    assert {room(name) for name in KNOWN} - set(LEVELS) == set(), "add the new room to LAYERS"


@pytest.mark.parametrize("name", KNOWN)
def test_imports_run_downwards(name):
    wrong = [imported for imported in sorted(inner_imports(name, KNOWN)) if not allowed(name, imported)]
    assert not wrong, f"{name} must not import {', '.join(wrong)}"


def test_no_circle():
    graph = {name: inner_imports(name, KNOWN) for name in KNOWN}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circular import: {' -> '.join(reversed(error.args[1]))}")


@pytest.mark.parametrize("name", KNOWN)
def test_the_core_imports_itself_relatively_and_never_the_host(name):
    assert absolute_roots(KNOWN[name]) & (HOST | {"autodir_core"}) == set()


def test_only_two_files_of_the_nodes_know_the_host():
    """Its services in host, its model classes in host_models."""
    for name, path in modules(ROOT / "nodes").items():
        forbidden = {"autodir_core"} | (set() if name in ("host", "host_models") else HOST)
        assert absolute_roots(path) & forbidden == set(), f"nodes/{path.name}"


def test_importing_the_core_is_light():
    """torch is there in every ComfyUI before a pack is; what takes seconds must wait for the first model."""
    code = "import sys, autodir_core; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"diffusers", "open_clip", "torchvision", "transformers"} == set()


class TestTheseRules:
    """The checker itself, on a small house with known faults."""

    @pytest.fixture
    def house(self, tmp_path):
        def build(**files: str) -> dict[str, Path]:
            for name, text in files.items():
                path = tmp_path / f"{name.replace('__in__', '/')}.py"
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
            return modules(tmp_path)

        return build

    def test_relative_imports_are_resolved(self, house):
        known = house(
            cli="def f():\n    from .training import loop\n    from . import files, load\n",
            training__in____init__="from .loop import run\n",
            training__in__loop="from ..errors import InputError\nfrom . import data\n",
            training__in__data="",
            __init__="",
            files="",
            errors="",
        )
        assert inner_imports("cli", known) == {"training.loop", "files", "__init__"}
        assert inner_imports("training", known) == {"training.loop"}
        assert inner_imports("training.loop", known) == {"errors", "training.data"}

    @pytest.mark.parametrize(
        ("importer", "imported", "expected"),
        [
            ("files", "errors", True),
            ("errors", "files", False),
            ("assess", "condition", True),
            ("degrade.rain", "images", True),
            ("degrade.rain", "schedule", False),
            ("training.ldm", "model", True),
            ("training.ldm", "restore", False),
            ("training.data", "degrade.rain", True),
            ("evaluation", "training.data", True),
            ("training", "evaluation", False),
            ("restore", "__init__", False),
        ],
    )
    def test_layers(self, importer, imported, expected):
        assert allowed(importer, imported) is expected
