"""Trainings from the options of `train` and `teach` to the written model."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from autodir_core.checkpoint.inspection import inspect
from autodir_core.cli.console import complain, say
from autodir_core.cli.pictures import canonical, check_writable
from autodir_core.devices import parse_device
from autodir_core.errors import InputError
from autodir_core.model import MINI, AutoDIR, load_autodir

from .add_label import NewLabel, add_label, check_new_label, load_data_with
from .data.sources import TrainingData, load_data
from .data.tiles import count_left_out
from .engine.distributed import find_process_group, main_process_first
from .init.model import init_model
from .pipeline import TrainingRun, check_needs, train_stages
from .recipes.recipe import Recipe, read_recipe, scale_steps


def run_training(arguments: argparse.Namespace, stages: Sequence[str]) -> int:
    """Train some stages of a new model or of a file."""
    recipe, folder = chosen_recipe(arguments), Path(arguments.output)
    given = {name: getattr(arguments, name) for name in ("pairs", "negatives") if getattr(arguments, name)}
    recipe = replace(recipe, data=replace(recipe.data, **given))
    target = chosen_target(arguments, recipe.name)
    if not arguments.model:
        check_needs(stages, folder)

    def load(model: AutoDIR) -> TrainingData:
        return load_data(recipe.data, model.labels, folder, seed=recipe.seed)

    run = start_run(arguments, recipe, load, from_scratch=not arguments.model)
    say(f"{train_stages(run, stages, target)} is written", quiet=run.group.rank > 0)
    return exit_code(run)


def run_fine_tuning(arguments: argparse.Namespace) -> int:
    """Add the label that `teach` names to a model."""
    recipe, folder = chosen_recipe(arguments), Path(arguments.output)
    pairs = Path(arguments.pairs) if arguments.pairs else None
    new = NewLabel(arguments.label, pairs=pairs, degradation=arguments.degrade)
    check_new_label(new, inspect(arguments.model or MINI).metadata.labels)
    target = chosen_target(arguments, recipe.name)
    run = start_run(arguments, recipe, lambda model: load_data_with(new, model, recipe, folder), from_scratch=False)
    path = add_label(run, target)
    say(f"{path} is written; its labels: {', '.join(run.data.labels)}", quiet=run.group.rank > 0)
    return exit_code(run)


def exit_code(run: TrainingRun) -> int:
    """Return 1, with a line that says how many and why, where pictures were left out."""
    left_out = run.data.left_out
    if left_out and run.group.rank == 0:
        complain(f"{count_left_out(left_out)}, see above; the model has learned from the others")
    return 1 if left_out else 0


def start_run(
    arguments: argparse.Namespace, recipe: Recipe, load: Callable[[AutoDIR], TrainingData], *, from_scratch: bool
) -> TrainingRun:
    """Return what the options of every training ask for: device, processes, model, and the data that `load` returns."""
    folder = Path(arguments.output)
    check_writable(folder)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    group = find_process_group(parse_device(arguments.device))
    model = (
        init_model(recipe) if from_scratch else load_autodir(arguments.model, group.device, "float32", offload=False)
    )
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


def chosen_recipe(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe with what the options of every training change."""
    if arguments.steps_scale <= 0:
        raise InputError(f"--steps-scale must be above 0, got {arguments.steps_scale:g}")
    recipe = scale_steps(read_recipe(arguments.recipe), arguments.steps_scale)
    return replace(recipe, data=replace(recipe.data, photos=arguments.photos or recipe.data.photos))


def chosen_target(arguments: argparse.Namespace, name: str) -> Path:
    """Return the file to write; InputError for another kind of file, or the file of --model itself."""
    target = Path(arguments.output) / f"{name}.safetensors" if arguments.save is None else Path(arguments.save)
    if target.suffix not in (".safetensors", ".ckpt"):
        raise InputError(f"--save takes a .safetensors or .ckpt file, got {target}")
    if arguments.model and canonical(target) == canonical(Path(arguments.model)):
        raise InputError(f"{target} is the file of --model, which would be lost; choose another --save or --output")
    check_writable(target.parent)
    return target
