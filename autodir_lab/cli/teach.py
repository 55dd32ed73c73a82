"""Teach a model one more degradation by class-incremental fine-tuning: a new label, the known ones replayed.

It learns from pairs or from a degradation that can be made. An interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from autodir_core.choices import DEGRADATIONS
from autodir_core.cli.console import say
from autodir_core.labels import LABELS

from .train import add_training_options, chosen_recipe, chosen_target, start_training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("label", metavar="LABEL", help='name of the new degradation, such as "jpeg artifact"')
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--pairs", metavar="FOLDER", help="photos that show it: degraded/ and clean/, the same names")
    extra = [name for name in DEGRADATIONS if name not in LABELS]
    way.add_argument("--degrade", choices=extra, metavar="NAME", help=f"make it on clean photos: {', '.join(extra)}")
    parser.add_argument("--model", metavar="FILE", help="the model to fine-tune (default: the embedded one)")
    add_training_options(parser, recipe="teach")


def run(arguments: argparse.Namespace) -> int:
    from ..training.add_label import NewLabel, add_label, load_data_with

    recipe = chosen_recipe(arguments)
    target = chosen_target(arguments, recipe.name)
    pairs = Path(arguments.pairs) if arguments.pairs else None
    new = NewLabel(arguments.label, pairs=pairs, degradation=arguments.degrade)
    folder = Path(arguments.out)
    training = start_training(
        arguments, recipe, lambda model: load_data_with(new, model, recipe, folder), from_scratch=False
    )
    path = add_label(training, target)
    say(f"{path} is written; its labels: {', '.join(training.data.labels)}", quiet=training.group.rank > 0)
    return 0
