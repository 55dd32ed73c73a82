"""Train a model from scratch or continue the training of one; an interrupted training goes on where it was."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autodir_core.cli.console import say
from autodir_core.cli.options import add_renamed, at_least, check_names, finite, names
from autodir_core.cli.pictures import canonical, check_writable
from autodir_core.errors import InputError

from ..training import STAGE_NAMES

if TYPE_CHECKING:
    from autodir_core.model import AutoDIR

    from ..training.data.sources import TrainingData
    from ..training.recipes import Recipe
    from ..training.stages import TrainingRun

ALL_STAGES = "mini"

MAX_WORKERS = 4
"""By default; a GPU may need more to have its pictures in time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", choices=(*STAGE_NAMES, ALL_STAGES), help=f"one stage, or {ALL_STAGES}: all stages of a small model"
    )
    parser.add_argument("--model", metavar="FILE", help="continue the training of this one (default: from scratch)")
    parser.add_argument("--pairs", metavar="FOLDER", help="LABEL/degraded and LABEL/clean (default: the recipe's)")
    stages = f"with {ALL_STAGES}, between commas, out of (default: all of) {','.join(STAGE_NAMES)}"
    add_renamed(parser, "--stages", "--parts", type=names, help=stages)
    add_training_options(parser, recipe="mini")


def add_training_options(parser: argparse.ArgumentParser, *, recipe: str) -> None:
    """Add what every training takes; `recipe` names the shipped one that is the default."""
    parser.add_argument("--out", metavar="FOLDER", required=True, help="gets checkpoints, logs, samples and the model")
    parser.add_argument(
        "--recipe",
        default=recipe,
        metavar="FILE",
        help="TOML, or one that is shipped: mini, official, teach (default: %(default)s)",
    )
    parser.add_argument("--photos", metavar="FOLDER", help="clean photographs to degrade (default: the recipe's)")
    scale = "multiplies the steps of every stage, 0.01 for a quick look (default: %(default)s)"
    add_renamed(parser, "--steps-scale", "--share", type=finite, default=1.0, help=scale)
    parser.add_argument("--save", metavar="FILE", help=".safetensors or .ckpt (default: the recipe's name, in --out)")
    parser.add_argument("--device", help="such as cuda, cuda:1, mps or cpu (default: the best there is)")
    parser.add_argument("--threads", type=at_least(1), help="CPU threads (default: as many as torch chooses)")
    parser.add_argument(
        "--workers",
        type=at_least(0),
        default=min((os.cpu_count() or 1) - 1, MAX_WORKERS),
        help=f"processes that draw the same pictures ahead (default: all CPU cores but one, {MAX_WORKERS} at most)",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="log losses and samples there too (default: files only)"
    )


def run(arguments: argparse.Namespace) -> int:
    from ..training.data.build import load_data
    from ..training.pipeline import check_needs, train_stages

    folder, stages = Path(arguments.out), chosen_stages(arguments)
    recipe = chosen_recipe(arguments)
    recipe = replace(recipe, data=replace(recipe.data, pairs=arguments.pairs or recipe.data.pairs))
    target = chosen_target(arguments, recipe.name)
    if not arguments.model:
        check_needs(stages, folder)

    def load(model: AutoDIR) -> TrainingData:
        return load_data(recipe.data, model.labels, folder, seed=recipe.seed)

    training = start_training(arguments, recipe, load, from_scratch=not arguments.model)
    say(f"{train_stages(training, stages, target)} is written", quiet=training.group.rank > 0)
    return 0


def start_training(
    arguments: argparse.Namespace, recipe: Recipe, load: Callable[[AutoDIR], TrainingData], *, from_scratch: bool
) -> TrainingRun:
    """Return what the options of every training ask for: device, processes, model, and the data that `load` returns."""
    import torch

    from autodir_core.devices import parse_device
    from autodir_core.model import load_autodir

    from ..training.engine.distributed import find_process_group, main_process_first
    from ..training.init.model import init_model
    from ..training.stages import TrainingRun

    folder = Path(arguments.out)
    check_writable(folder)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    group = find_process_group(parse_device(arguments.device))
    model = init_model(recipe) if from_scratch else load_autodir(arguments.model, group.device, "float32")
    model.networks.to(group.device)
    data = main_process_first(group, lambda: load(model))
    return TrainingRun(
        model,
        data,
        recipe,
        folder,
        from_scratch=from_scratch,
        group=group,
        num_workers=arguments.workers,
        tensorboard=arguments.tensorboard,
        notify=say,
    )


def chosen_stages(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the stages to train, from the first argument and --stages."""
    if arguments.what == ALL_STAGES:
        return STAGE_NAMES if arguments.stages is None else check_names(arguments.stages, STAGE_NAMES, "--stages")
    if arguments.stages is not None:
        raise InputError(f"--stages goes with {ALL_STAGES}; {arguments.what} is one stage already")
    return (arguments.what,)


def chosen_recipe(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe with what the options of every training change."""
    from ..training.recipes import read_recipe, scale_steps

    if arguments.steps_scale <= 0:
        raise InputError(f"--steps-scale must be above 0, got {arguments.steps_scale:g}")
    recipe = scale_steps(read_recipe(arguments.recipe), arguments.steps_scale)
    return replace(recipe, data=replace(recipe.data, photos=arguments.photos or recipe.data.photos))


def chosen_target(arguments: argparse.Namespace, name: str) -> Path:
    """Return the file to write; InputError for another kind of file, or the file of --model itself."""
    target = Path(arguments.out) / f"{name}.safetensors" if arguments.save is None else Path(arguments.save)
    if target.suffix not in (".safetensors", ".ckpt"):
        raise InputError(f"--save takes a .safetensors or .ckpt file, got {target}")
    if arguments.model and canonical(target) == canonical(Path(arguments.model)):
        raise InputError(f"{target} is the file of --model, which would be lost; choose another --save or --out")
    check_writable(target.parent)
    return target
