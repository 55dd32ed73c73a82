"""The command line: `python -m autodir_core COMMAND`; each command is a module with `add_arguments` and `run`.

Everything up to the call of `run` needs Python's standard library alone, so that help is there before any package is.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any

from .. import __version__
from ..errors import AutoDIRError, InputError, is_out_of_memory
from ..optional_imports import installed_packages
from .console import Parser, complain, prepare_streams, prepare_warnings

COMMANDS = {
    "restore": ("autodir_core.cli.restore", "find what degrades pictures and remove it, round by round"),
    "assess": ("autodir_core.cli.assess", "tell how probable each degradation of pictures is"),
    "batch": ("autodir_core.batch.command", "restore or assess many pictures, resumable, by several processes"),
    "inspect": ("autodir_core.cli.inspect", "identify a weights file and check its values"),
    "convert": ("autodir_core.cli.convert", "rewrite a weights file as safetensors in the precision you choose"),
    "degrade": ("autodir_core.cli.degrade", "degrade pictures on purpose, to try a restoration against a reference"),
    "bench": ("autodir_core.cli.bench", "measure what restoring costs here in seconds and memory"),
    "train": ("autodir_lab.cli.train", "train a model from scratch or continue the training of one"),
    "teach": ("autodir_lab.cli.teach", "teach a model one more degradation by fine-tuning"),
    "evaluate": ("autodir_lab.cli.evaluate", "measure recognition and restoration"),
    "calibrate": (
        "autodir_lab.cli.calibrate",
        "fit what the probabilities mean, and what the quality gate accepts, to photographs",
    ),
    "study": ("autodir_lab.cli.study", "run the ablations of the paper with the mini model"),
    "comfy": ("autodir_client.cli", "run workflows on ComfyUI servers"),
}
"""Name -> module, imported when its command is used, and summary; the module's docstring is the description."""

HOME = "https://github.com/autodir/comfyui-autodir"

PROGRAM = "python -m autodir_core"
WRONG_USE, INTERRUPTED, CLOSED_PIPE = 2, 130, 141


class CommandParser(Parser):
    """A parser that refuses what it does not know by itself, so that the error leads to the command's own help."""

    def parse_known_args(self, *given: Any, **named: Any) -> tuple[Any, list[str]]:
        arguments, unknown = super().parse_known_args(*given, **named)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self.suggest(unknown)}")
        return arguments, unknown

    def suggest(self, unknown: Sequence[str]) -> str:
        """Return the question whether the option of this parser that is nearest was meant, where one is near."""
        known = [name for action in self._actions if action.help != argparse.SUPPRESS for name in action.option_strings]
        options = (text.partition("=")[0] for text in unknown if text.startswith("--"))
        near = [name for option in options for name in get_close_matches(option, known, 1)]
        return f" (did you mean {' '.join(near)}?)" if near else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 ok, 1 some pictures failed, 2 wrong use or nothing could be done, 130 interrupted."""
    prepare_streams()
    prepare_warnings()
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        with installed_packages():
            return arguments.run(arguments)
    except KeyboardInterrupt:
        complain("interrupted; what was finished is kept")
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads the lines has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except (AutoDIRError, OSError) as error:
        complain(f"error: {error}")
        return WRONG_USE
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        complain("error: there is not enough memory; close other programs, or take a smaller model or picture")
        return WRONG_USE


def parse(argv: Sequence[str], program: str = PROGRAM) -> argparse.Namespace:
    """Return the options of a command with its function as `run`; InputError for wrong use, SystemExit after help."""
    return build_parser(next((text for text in argv if text in COMMANDS), None), program).parse_args(argv)


def import_command(name: str, path: str) -> ModuleType:
    """Return the module of a command; InputError where this copy of the project is the archive of the nodes alone."""
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path.partition(".")[0]:
            raise
        raise InputError(
            f"{name!r} is no part of this copy, which holds what the nodes need; it is in {HOME}"
        ) from error


def build_parser(used: str | None, program: str = PROGRAM) -> argparse.ArgumentParser:
    """Return the parser of all commands.

    Args:
        used: the command whose options it knows; the others are names.
        program: what its help and its errors call it by.
    """
    parser = CommandParser(prog=program, description="AutoDIR: automatic all-in-one image restoration.")
    parser.add_argument("--version", action="version", version=f"autodir {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (path, summary) in COMMANDS.items():
        one = commands.add_parser(name, help=summary)
        if name == used:
            module = import_command(name, path)
            one.description = module.__doc__
            module.add_arguments(one)
            one.set_defaults(run=module.run)
    return parser
