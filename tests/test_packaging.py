"""pyproject.toml says what the packages need and what is in them."""

from __future__ import annotations

import ast
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from PIL import Image

import run
from tests.test_imports import HOST

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = {
    "autodir_core": {"batch", "lpips", "ray", "remote"},
    "autodir_lab": {"eval", "train"},
    "autodir_client": {"comfy"},
    "nodes": set(),
}
"""Package -> the extras whose packages it may import beside the dependencies."""


def imported(package: str) -> set[str]:
    """The packages of others that a package of ours imports, inside functions too."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
    return found - sys.stdlib_module_names - set(EXTRAS)


def declared(*names: str) -> set[str]:
    """The import names of lists in pyproject.toml."""
    return {run.module_of(requirement) for name in names for requirement in run.requirement_list(name)}


@pytest.mark.parametrize("package", EXTRAS)
def test_every_import_is_declared(package):
    host = HOST | {"aiohttp"} if package == "nodes" else set()  # what every ComfyUI has
    assert imported(package) - host <= declared("dependencies", *EXTRAS[package])


@pytest.mark.parametrize("folder", ["tests", "scripts", "benchmarks", "docs"])
def test_every_import_of_what_is_not_shipped_is_declared(folder):
    """Developers have all of it; `albumentations` and the like are looked for by the tests that need them."""
    ours = {"tests", "nodes", "run", "scripts", "benchmarks", "autodir_pack"}
    files = {path.stem for path in (ROOT / folder).rglob("*.py")}
    assert imported(folder) - HOST - ours - files <= declared("dependencies", "dev", *EXTRAS["autodir_core"])


def test_every_dependency_is_imported_by_inference():
    assert declared("dependencies") <= imported("autodir_core")


def test_tests_have_every_package_that_has_no_weights_of_its_own():
    """LPIPS downloads some, so it comes only where it is asked for; so does Ray, which is large."""
    assert declared("batch", "remote", "eval", "train", "comfy") <= declared("dev")


def test_every_file_beside_the_code_is_shipped():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.setuptools.package-data]\n")[2]
    globs = dict(ast.literal_eval(f"({line.replace(' = ', ', ', 1)})") for line in lines.split("\n\n")[0].splitlines())
    for package in ("autodir_core", "autodir_lab", "autodir_client"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                place = ".".join(path.parent.relative_to(ROOT).parts)
                assert any(fnmatch(path.name, glob) for glob in globs.get(place, ())), f"{path} is in no wheel"


@pytest.mark.parametrize(("key", "width", "height"), [("Icon", 400, 400), ("Banner", 1260, 540)])
def test_the_registry_finds_its_pictures(key, width, height):
    """An icon of at most 400 x 400 pixels and a banner of 21:9, by addresses that end in files of this repository."""
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (address,) = re.findall(rf'^{key} = "(.+)"$', metadata, re.MULTILINE)
    (repository,) = re.findall(r'^Repository = "https://github.com/(.+)"$', metadata, re.MULTILINE)
    base, _, path = address.partition("/main/")
    assert base == f"https://raw.githubusercontent.com/{repository}"
    with Image.open(ROOT / path) as picture:
        assert picture.size == (width, height)
    assert (ROOT / path).stat().st_size < 200_000
