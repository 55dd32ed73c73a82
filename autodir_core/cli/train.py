"""Train the mini model anew on generated pictures; an interrupted training goes on where it was."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from .console import say
from .options import at_least, check_names, finite, names
from .pictures import check_writable

NEEDS = {"biqa": (), "vae": (), "ldm": ("vae",), "scm": ("vae", "ldm")}
"""The parts in the order of their training, and the trained parts that each builds on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", choices=("mini",), help="which model")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="gets checkpoints, logs and the finished model")
    parser.add_argument(
        "--parts", type=names, default=tuple(NEEDS), help=f"between commas, out of (default: all of) {','.join(NEEDS)}"
    )
    parser.add_argument(
        "--share", type=finite, default=1.0, help="multiplies the steps, 0.01 for a quick look (default: %(default)s)"
    )
    parser.add_argument("--threads", type=at_least(1), help="CPU threads (default: as many as torch chooses)")


def run(arguments: argparse.Namespace) -> int:
    import torch

    from ..training.recipes import MiniRecipe, shortened, train_mini

    folder = Path(arguments.out)
    parts = check_names(arguments.parts, tuple(NEEDS), "--parts")
    check_built_on(parts, folder)
    if arguments.share <= 0:
        raise InputError(f"--share must be above 0, got {arguments.share:g}")
    check_writable(folder)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    say(f"{train_mini(folder, shortened(MiniRecipe(), arguments.share), parts=parts)} is written")
    return 0


def check_built_on(parts: Sequence[str], folder: Path) -> None:
    """InputError where a part that another builds on is neither asked for nor finished in the folder."""
    for part in parts:
        for needed in NEEDS[part]:
            if needed not in parts and not (folder / f"{needed}-done.pt").is_file():
                raise InputError(f"{part} builds on {needed}, which is not trained in {folder}; add it to --parts")
