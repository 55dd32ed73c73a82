"""The archive that the registry publishes: small, harmless to its scanner, and complete by itself."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.archive import ROOT, archived_files, unpack_archive

TOP = {
    ".comfyignore",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "README.zh.md",
    "__init__.py",
    "autodir_core",
    "locales",
    "nodes",
    "pyproject.toml",
    "requirements.txt",
    "subgraphs",
    "web",
    "workflows",
}
FLAGGED_MODULES = {"subprocess", "socket", "urllib", "http", "requests", "ftplib", "pip", "webbrowser"}
FLAGGED_CALLS = {"eval", "exec", "compile", "system", "popen"}
"""What the registry's scan looks for; a version that it flags is not shown."""

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the archive is listed by git: no checkout here")


def test_it_holds_what_the_nodes_need_and_nothing_else() -> None:
    assert {path.parts[0] for path in archived_files()} == TOP


def test_it_is_small() -> None:
    sizes = {path: (ROOT / path).stat().st_size for path in archived_files()}
    weights = sizes.pop(Path("autodir_core/assets/autodir-mini.safetensors"))
    assert weights < 24e6 and sum(sizes.values()) < 5e6


def test_the_scan_finds_nothing() -> None:
    for path in archived_files():
        if path.suffix == ".py":
            nodes = list(ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))))
            assert not imported_by(nodes) & FLAGGED_MODULES, path
            called = {node.func for node in nodes if isinstance(node, ast.Call)}
            assert not {name.id for name in called if isinstance(name, ast.Name)} & FLAGGED_CALLS, path


@pytest.mark.skipif(not shutil.which("comfy"), reason="comfy-cli is not installed: pip install comfy-cli")
def test_the_publisher_packs_the_same_files(tmp_path: Path) -> None:
    """comfy-cli, which the registry's own action calls; on a copy, because it writes beside the files."""
    env = {**os.environ, "COMFY_NO_TELEMETRY": "1", "HOME": str(tmp_path)}
    copy = tmp_path / "copy"
    subprocess.run(["git", "checkout-index", "--all", f"--prefix={copy}/"], cwd=ROOT, check=True)
    for command in ("git init -q", "git add .", "comfy --skip-prompt node validate", "comfy --skip-prompt node pack"):
        done = subprocess.run(command.split(), cwd=copy, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(copy / "node.zip") as archive:
        assert {Path(name) for name in archive.namelist()} == set(archived_files())


def imported_by(nodes: list[ast.AST]) -> set[str]:
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in names}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("archive") / "autodir"
    unpack_archive(target)
    return target


def run_there(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autodir_core", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)


def test_it_restores_a_photo_by_itself(unpacked: Path, tmp_path: Path) -> None:
    photo, out = unpacked / "autodir_core/assets/dark.png", tmp_path / "out"
    done = run_there(unpacked, "restore", photo, "-o", out, "--steps", 1, "--max-rounds", 1, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in out.iterdir()] == ["dark_restored.png"]


def test_it_says_what_it_leaves_out(unpacked: Path) -> None:
    done = run_there(unpacked, "train", "mini", "-o", "out")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "autodir: error: 'train' is no part of this copy, which holds what the nodes need; "
        "it is in https://github.com/autodir/comfyui-autodir"
    )
