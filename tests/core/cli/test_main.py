"""What all commands share: help, errors in one line, options under their former names."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from autodir_core.cli import COMMANDS, build_parser, console
from tests.core.cli.helpers import FAST, call, names_in

ROOT = Path(__file__).resolve().parents[3]
FORMER = {"--view", "--threshold", "--sheet", "--no-truth", "--tile", "--share", "--again", "--force", "--patience"}


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, or all below it where it has commands of its own."""
    commands = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not commands:
        yield parser
    for action in commands:
        for one in action.choices.values():
            yield from leaves(one)


def loaded_modules(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint(*sys.modules)"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option(command):
    commands = next(action for action in build_parser(command)._actions if isinstance(action.choices, dict))
    for parser in leaves(commands.choices[command]):
        actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
        for action in actions:
            name = f"{parser.prog} {(action.option_strings or [action.dest])[-1]}"
            assert action.help, f"{name} is not explained"
            if action.default not in (None, False, [], argparse.SUPPRESS):
                assert "(default: " in action.help, f"{name} does not name its default"
        options = {option for action in actions for option in action.option_strings}
        assert not options & FORMER, "former names are not shown"


@pytest.mark.parametrize("command", COMMANDS)
def test_summary_and_description(command, capsys):
    with pytest.raises(SystemExit) as ended:
        call(command, "--help")
    assert ended.value.code == 0
    module, summary = COMMANDS[command]
    description = " ".join((import_module(module).__doc__ or "-").split())
    assert description in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        call("--help")
    assert summary in " ".join(capsys.readouterr().out.split())


def test_no_command_is_imported_to_list_them_all():
    code = "import sys\nfrom autodir_core.cli import build_parser\nbuild_parser(None).format_help()"
    assert not loaded_modules(code) & {module for module, _ in COMMANDS.values()}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_no_package(command):
    """Not even the standard ones: run.py shows it before anything is installed."""
    code = f"import sys\nfrom autodir_core.cli import build_parser\nbuild_parser({command!r}).format_help()"
    assert not loaded_modules(code) & {"torch", "numpy", "PIL", "tqdm", "aiohttp", "diffusers", "safetensors"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("restore a.png -o o.png --presett fast", "--presett fast (did you mean --preset?); see {} restore --help"),
        ("restore a.png -o o.png --zzz=1", "--zzz=1; see {} restore --help"),
        ("comfy run f.json -o o --retry-timout 5", "5 (did you mean --retry-timeout?); see {} comfy run --help"),
        ("assess a.png --jsno --mapp=m", "--mapp=m (did you mean --json --map?); see {} assess --help"),
    ],
)
def test_an_option_that_is_none_leads_to_the_nearest(refused, given, told):
    line = refused(*given.split())
    assert "unrecognized arguments: " in line and line.endswith(told.format("python -m autodir_core"))


def test_labels_in_any_case(picture, loaded, capsys):
    assert call("assess", picture, "--json", "--labels", "Noise,Low_Resolution,NO") == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert set(shown["probabilities"]) == {"noise", "low resolution", "no"}


def test_an_unknown_label(refused, picture, loaded, tmp_path):
    assert "unknown label 'fog'" in refused("restore", picture, "-o", tmp_path / "o.png", "--labels", "fog,no", *FAST)
    assert "unknown label 'fog'" in refused("assess", picture, picture.parent, "--labels", "fog")


@pytest.mark.parametrize("command", ["restore", "assess", "inspect", "convert"])
def test_a_truncated_checkpoint(refused, picture, tiny_path, tmp_path, command):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_path.read_bytes()[:1_000_000])
    rest = {
        "restore": (picture, "-o", tmp_path / "o.png", "--model", cut),
        "assess": (picture, "--model", cut),
        "inspect": (cut,),
        "convert": (cut, tmp_path / "o.safetensors"),
    }[command]
    assert "cut.safetensors" in refused(command, *rest)
    assert names_in(tmp_path) == ["cut.safetensors", "in"]


def test_a_bug_is_not_hidden(picture, loaded, monkeypatch):
    """Only errors that a user can do something about become one line."""

    def broken(*arguments):
        raise TypeError("a bug")

    monkeypatch.setattr(loaded, "assess", broken)
    with pytest.raises(TypeError):
        call("assess", picture)


@pytest.mark.parametrize("command", ["restore", "assess", "inspect", "convert", "degrade"])
def test_a_python_without_packages_is_told_what_to_do(picture, tmp_path, command):
    """One line, not a traceback; -S hides the installed packages."""
    options = {
        "restore": ["-o", "o.png"],
        "convert": [tmp_path / "o.safetensors"],
        "degrade": ["-o", tmp_path / "o.png", "--label", "blur"],
    }.get(command, [])
    done = subprocess.run(
        [sys.executable, "-S", "-m", "autodir_core", command, picture, *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith("autodir: error: the package ") and "run.py" in line and "-m pip install" in line


def test_as_a_module(tmp_path):
    command = [sys.executable, "-m", "autodir_core", "inspect", tmp_path / "gone.safetensors"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("autodir: error: ")


@pytest.mark.parametrize("quiet", [False, True])
def test_without_a_terminal_a_bar_is_a_line_now_and_then(capsys, monkeypatch, quiet):
    monkeypatch.setattr(console, "LINE_SECONDS", 0.05)
    for _ in console.progress(range(20), quiet=quiet, desc="pictures"):
        time.sleep(0.02)
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) <= 8 * (not quiet) and (quiet or len(shown) >= 2)
    assert all(re.match(r"pictures: \d+ of 20, 00:00 so far", line) for line in shown)
