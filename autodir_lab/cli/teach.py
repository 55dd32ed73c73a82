"""Teach a model one more degradation by class-incremental fine-tuning: a new label, the known ones replayed.

It learns from pairs or from a degradation that can be made. An interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from autodir_core.choices import DEGRADATIONS
from autodir_core.cli.console import say
from autodir_core.cli.pictures import check_writable
from autodir_core.labels import LABELS

from .train import add_training_options, chosen_recipe, chosen_target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("label", metavar="LABEL", help='name of the new degradation, such as "jpeg artifact"')
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--pairs", metavar="FOLDER", help="photos that show it: degraded/ and clean/, the same names")
    extra = [name for name in DEGRADATIONS if name not in LABELS]
    way.add_argument("--degrade", choices=extra, metavar="NAME", help=f"make it on clean photos: {', '.join(extra)}")
    parser.add_argument("--model", metavar="FILE", help="the model to fine-tune (default: the embedded one)")
    add_training_options(parser, recipe="teach")


def run(arguments: argparse.Namespace) -> int:
    import torch

    from autodir_core.devices import parse_device
    from autodir_core.model import load_autodir

    from ..training.add_label import NewLabel, add_label, load_data_with
    from ..training.engine.distributed import find_process_group, main_process_first

    folder, recipe = Path(arguments.out), chosen_recipe(arguments)
    target = chosen_target(arguments, folder, recipe.name)
    check_writable(folder)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    group = find_process_group(parse_device(arguments.device))
    model = load_autodir(arguments.model, group.device, "float32")
    pairs = Path(arguments.pairs) if arguments.pairs else None
    new = NewLabel(arguments.label, pairs=pairs, degradation=arguments.degrade)
    data = main_process_first(group, lambda: load_data_with(new, model, recipe, folder))
    path = add_label(
        model,
        data,
        recipe,
        folder,
        target,
        group=group,
        num_workers=arguments.workers,
        tensorboard=arguments.tensorboard,
        notify=say,
    )
    say(f"{path} is written; its labels: {', '.join(data.labels)}", quiet=group.rank > 0)
    return 0
