"""The command line: `python -m autodir_core COMMAND`; each command is a module with `add_arguments` and `run`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from autodir_client import cli as comfy
from autodir_lab.cli import evaluate, study, teach, train

from .. import __version__
from ..errors import AutoDIRError
from . import assess, convert, degrade, inspect, restore
from .console import Parser, complain, prepare_streams

COMMANDS = {
    "restore": restore,
    "assess": assess,
    "inspect": inspect,
    "convert": convert,
    "degrade": degrade,
    "train": train,
    "teach": teach,
    "evaluate": evaluate,
    "study": study,
    "comfy": comfy,
}
"""Each module's docstring is the description of its command; `run` returns the exit code."""

WRONG_USE, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 ok, 1 some pictures failed, 2 wrong use or nothing could be done, 130 interrupted."""
    prepare_streams()
    try:
        arguments = parser().parse_args(argv)
        return arguments.run(arguments)
    except KeyboardInterrupt:
        complain("interrupted; what was finished is kept")
        return INTERRUPTED
    except (AutoDIRError, OSError) as error:
        complain(f"error: {error}")
        return WRONG_USE


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Parser(prog="python -m autodir_core", description="AutoDIR: automatic all-in-one image restoration.")
    top.add_argument("--version", action="version", version=f"autodir {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        description = command.__doc__ or ""
        one = commands.add_parser(name, help=description.rstrip("."), description=description)
        command.add_arguments(one)
        one.set_defaults(run=command.run)
    return top
