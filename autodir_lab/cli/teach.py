"""Teach a model one more degradation by class-incremental fine-tuning: a new label, the known ones replayed.

It learns from pairs or from a degradation that can be made. An interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse

from autodir_core.choices import DEGRADATIONS
from autodir_core.labels import LABELS

from .train import add_training_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("label", metavar="LABEL", help='name of the new degradation, such as "jpeg artifact"')
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--pairs", metavar="FOLDER", help="photos that show it: degraded/ and clean/, the same names")
    extra = [name for name in DEGRADATIONS if name not in LABELS]
    way.add_argument("--degrade", choices=extra, metavar="NAME", help=f"make it on clean photos: {', '.join(extra)}")
    parser.add_argument("--model", metavar="FILE", help="the model to fine-tune (default: the embedded one)")
    add_training_options(parser, recipe="teach")


def run(arguments: argparse.Namespace) -> int:
    from ..training.run import run_fine_tuning

    return run_fine_tuning(arguments)
