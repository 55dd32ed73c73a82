"""Run ablations of the paper's ideas at the size of the mini model; an interrupted one of recognition resumes."""

from __future__ import annotations

import argparse
from pathlib import Path

from autodir_core.cli.options import add_model_options, add_quiet, add_renamed, at_least, names, seed

BOTH = "all"
ABLATIONS = ("recognition", "restoration")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = (
        "recognition trains a plain classifier, CLIP with the classification loss, and with the semantic-agnostic "
        "term; restoration compares embeddings, correction weights, and the loop with one round; all runs both "
        "(default: all)"
    )
    parser.add_argument("ablation", nargs="?", metavar="ABLATION", choices=(BOTH, *ABLATIONS), default=BOTH, help=what)
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="gets tables, every number, trainings")
    photos = "clean, to measure on (default: eight that come with Python packages)"
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help=photos)
    parser.add_argument("--seeds", type=seed_list, default=(0, 1, 2), help="between commas (default: 0,1,2)")
    crops = "crops per photo and seed (default: recognition 2, restoration 1)"
    add_renamed(parser, "--crops-per-photo", "--crops", type=at_least(1), help=crops)
    add_recognition(parser.add_argument_group("recognition"))
    group = parser.add_argument_group("restoration")
    group.add_argument("--sampling-steps", type=at_least(1), default=10, help="of each round (default: %(default)s)")
    group.add_argument("--size", type=at_least(32), default=256, help="side of a crop in pixels (default: %(default)s)")
    add_model_options(parser)
    add_quiet(parser)


def add_recognition(group: argparse._ArgumentGroup) -> None:
    """Add the options of the trainings."""
    group.add_argument("--recipe", default="mini", metavar="FILE", help="of the trainings (default: mini)")
    group.add_argument("--steps", type=at_least(1), default=250, help="of each training (default: %(default)s)")
    group.add_argument("--train-photos", metavar="FOLDER", help="clean, to train on besides scenes (default: none)")
    group.add_argument("--threads", type=at_least(1), help="CPU threads (default: as many as torch chooses)")


def seed_list(text: str) -> tuple[int, ...]:
    """Parse whole numbers between commas."""
    numbers = tuple(map(seed, names(text)))
    if not numbers:
        raise argparse.ArgumentTypeError("give at least one seed")
    return numbers


def run(arguments: argparse.Namespace) -> int:
    from ..ablations.run import run_ablations

    return run_ablations(arguments, ABLATIONS if arguments.ablation == BOTH else (arguments.ablation,))
