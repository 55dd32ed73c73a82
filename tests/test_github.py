"""The workflows of GitHub: valid, on the versions that pyproject.toml names, with files and actions that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
METADATA = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def validate(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    return subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, encoding="utf-8", check=False)


def jobs(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8"))["jobs"]


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path.stem).values() for step in job.get("steps", ())]


@pytest.fixture(autouse=True)
def validator() -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")


def test_they_follow_the_schema(tmp_path) -> None:
    done = validate(*WORKFLOWS)
    assert len(WORKFLOWS) == 3 and done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "runs_on:"), encoding="utf-8")
    assert validate(broken).returncode == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_scripts_that_they_run_exist(path) -> None:
    commands = "\n".join(step.get("run", "") for step in steps(path))
    named = set(re.findall(r"\b(?:run\.py|(?:scripts|tests)/[\w./]+)", commands))
    assert all((ROOT / name).exists() for name in named) and (named or path.stem == "publish")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_sees_the_token_is_pinned(path) -> None:
    """Actions of GitHub itself go by their version, those of others by a commit, which nobody can move."""
    for action in (step["uses"] for step in steps(path) if "uses" in step):
        assert re.fullmatch(r"actions/[a-z-]+@v\d+|[\w-]+/[\w-]+@[0-9a-f]{40}", action), action


def test_tests_run_on_the_oldest_and_the_newest_python_of_the_classifiers() -> None:
    minors = sorted(int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", METADATA))
    matrix = jobs("tests")["tests"]["strategy"]["matrix"]
    assert matrix["python"] == [f"3.{minors[0]}", f"3.{minors[-1]}"]
    assert f'requires-python = ">=3.{minors[0]}"' in METADATA
    systems = {"ubuntu-latest": "POSIX :: Linux", "windows-latest": "Microsoft :: Windows"}
    assert [systems[name] for name in matrix["os"]] == sorted(
        re.findall(r"Operating System :: (.+)\"", METADATA), reverse=True
    )


def test_tests_run_on_the_oldest_comfyui() -> None:
    (oldest,) = re.findall(r'requires-comfyui = ">=(.+)"', METADATA)
    assert jobs("tests")["comfyui"]["strategy"]["matrix"]["ref"] == [f"v{oldest}", "master"]


def test_the_tests_run_before_publishing() -> None:
    publishing = jobs("publish")
    assert publishing["publish"]["needs"] == "tests"
    assert publishing["tests"]["uses"] == "./.github/workflows/tests.yml"
