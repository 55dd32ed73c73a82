"""Train a model from scratch or continue the training of one; an interrupted training goes on where it was."""

from __future__ import annotations

import argparse
import os

from autodir_core.cli.options import add_renamed, at_least, check_names, finite, names
from autodir_core.errors import InputError

from ..training import STAGE_NAMES

ALL_STAGES = "mini"

MAX_WORKERS = 4
"""By default; a GPU may need more to have its pictures in time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = f"{', '.join(STAGE_NAMES)}, or {ALL_STAGES}: all stages of a small model"
    parser.add_argument("what", metavar="STAGE", choices=(*STAGE_NAMES, ALL_STAGES), help=what)
    parser.add_argument("--model", metavar="FILE", help="continue the training of this one (default: from scratch)")
    parser.add_argument("--pairs", metavar="FOLDER", help="LABEL/degraded and LABEL/clean (default: the recipe's)")
    negatives = 'pictures that only look degraded, such as paintings; drawn as "no" (default: the recipe\'s)'
    parser.add_argument("--negatives", metavar="FOLDER", help=negatives)
    stages = f"with {ALL_STAGES}, between commas, out of (default: all of) {','.join(STAGE_NAMES)}"
    add_renamed(parser, "--stages", "--parts", type=names, help=stages)
    add_training_options(parser, recipe="mini")


def add_training_options(parser: argparse.ArgumentParser, *, recipe: str) -> None:
    """Add what every training takes; `recipe` names the shipped one that is the default."""
    output = "gets checkpoints, logs, samples and the model"
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help=output)
    shipped = "TOML, or one that is shipped: mini, official, teach (default: %(default)s)"
    parser.add_argument("--recipe", default=recipe, metavar="FILE", help=shipped)
    parser.add_argument("--photos", metavar="FOLDER", help="clean photographs to degrade (default: the recipe's)")
    scale = "multiplies the steps of every stage, 0.01 for a quick look (default: %(default)s)"
    add_renamed(parser, "--steps-scale", "--share", type=finite, default=1.0, help=scale)
    parser.add_argument(
        "--save", metavar="FILE", help=".safetensors or .ckpt (default: the recipe's name, in --output)"
    )
    parser.add_argument("--device", help="such as cuda, cuda:1, mps or cpu (default: the best there is)")
    parser.add_argument("--threads", type=at_least(1), help="CPU threads (default: as many as torch chooses)")
    ahead = f"processes that draw the same pictures ahead (default: all CPU cores but one, {MAX_WORKERS} at most)"
    cores = min((os.cpu_count() or 1) - 1, MAX_WORKERS)
    parser.add_argument("--workers", type=at_least(0), default=cores, help=ahead)
    board = "log losses and samples there too (default: files only)"
    parser.add_argument("--tensorboard", action="store_true", help=board)


def run(arguments: argparse.Namespace) -> int:
    from ..training.run import run_training

    return run_training(arguments, chosen_stages(arguments))


def chosen_stages(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the stages to train, from the first argument and --stages."""
    if arguments.what == ALL_STAGES:
        return STAGE_NAMES if arguments.stages is None else check_names(arguments.stages, STAGE_NAMES, "--stages")
    if arguments.stages is not None:
        raise InputError(f"--stages goes with {ALL_STAGES}; {arguments.what} is one stage already")
    return (arguments.what,)
