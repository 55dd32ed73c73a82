"""Train a model anew, or train a part of one on; an interrupted training goes on where it was."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autodir_core.cli.console import say
from autodir_core.cli.options import at_least, check_names, finite, names
from autodir_core.cli.pictures import canonical, check_writable
from autodir_core.errors import InputError

if TYPE_CHECKING:
    import torch

    from autodir_core.model import AutoDIR

    from ..training.recipes import Recipe

NEEDS = {"biqa": (), "vae": (), "ldm": ("vae",), "scm": ("vae", "ldm")}
"""The parts in the order of their training, and the trained parts that each builds on."""

WHOLE = "mini"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=(*NEEDS, WHOLE), help=f"one part, or {WHOLE}: all parts of a small model")
    parser.add_argument("--model", metavar="FILE", help="train this one on (default: begin from nothing)")
    parser.add_argument("--pairs", metavar="FOLDER", help="LABEL/degraded and LABEL/clean (default: the recipe's)")
    parser.add_argument(
        "--parts", type=names, help=f"with {WHOLE}, between commas, out of (default: all of) {','.join(NEEDS)}"
    )
    add_training_options(parser, recipe="mini")


def add_training_options(parser: argparse.ArgumentParser, *, recipe: str) -> None:
    """What every training takes; `recipe` names the shipped one that is the default."""
    parser.add_argument("--out", metavar="FOLDER", required=True, help="gets checkpoints, logs, sheets and the model")
    parser.add_argument(
        "--recipe",
        default=recipe,
        metavar="FILE",
        help="TOML, or one that is shipped: mini, official, teach (default: %(default)s)",
    )
    parser.add_argument("--photos", metavar="FOLDER", help="clean photographs to degrade (default: the recipe's)")
    parser.add_argument(
        "--share", type=finite, default=1.0, help="multiplies the steps, 0.01 for a quick look (default: %(default)s)"
    )
    parser.add_argument("--save", metavar="FILE", help=".safetensors or .ckpt (default: the recipe's name, in --out)")
    parser.add_argument("--device", help="such as cuda, cuda:1, mps or cpu (default: the best there is)")
    parser.add_argument("--threads", type=at_least(1), help="CPU threads (default: as many as torch chooses)")
    parser.add_argument(
        "--tensorboard", action="store_true", help="losses and sheets go there too (default: files only)"
    )


def run(arguments: argparse.Namespace) -> int:
    import torch

    from autodir_core.devices import parse_device

    from ..training.engine.distributed import find_process_group, main_process_first
    from ..training.stages import Training, gather_data, train_parts

    folder, parts = Path(arguments.out), chosen_parts(arguments)
    recipe = chosen_recipe(arguments)
    recipe = replace(recipe, data=replace(recipe.data, pairs=arguments.pairs or recipe.data.pairs))
    target = chosen_target(arguments, folder, recipe.name)
    if not arguments.model:
        check_built_on(parts, folder)
    check_writable(folder)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    group = find_process_group(parse_device(arguments.device))
    model = chosen_model(arguments, recipe, group.device)
    data = main_process_first(group, lambda: gather_data(recipe.data, model.labels, folder, seed=recipe.seed))
    training = Training(
        model,
        data,
        recipe,
        folder,
        fresh=not arguments.model,
        group=group,
        tensorboard=arguments.tensorboard,
        tell=say,
    )
    say(f"{train_parts(training, parts, target)} is written", quiet=group.rank > 0)
    return 0


def chosen_parts(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The parts to train, out of the first argument and --parts."""
    if arguments.what == WHOLE:
        return tuple(NEEDS) if arguments.parts is None else check_names(arguments.parts, tuple(NEEDS), "--parts")
    if arguments.parts is not None:
        raise InputError(f"--parts goes with {WHOLE}; {arguments.what} is one part already")
    return (arguments.what,)


def chosen_recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe with what the options of every training change."""
    from ..training.recipes import read_recipe, shortened

    if arguments.share <= 0:
        raise InputError(f"--share must be above 0, got {arguments.share:g}")
    recipe = shortened(read_recipe(arguments.recipe), arguments.share)
    return replace(recipe, data=replace(recipe.data, photos=arguments.photos or recipe.data.photos))


def chosen_target(arguments: argparse.Namespace, folder: Path, name: str) -> Path:
    """The file to write; InputError for another kind of file, or the model that is trained on."""
    target = folder / f"{name}.safetensors" if arguments.save is None else Path(arguments.save)
    if target.suffix not in (".safetensors", ".ckpt"):
        raise InputError(f"--save takes a .safetensors or .ckpt file, got {target}")
    if arguments.model and canonical(target) == canonical(Path(arguments.model)):
        raise InputError(f"{target} is the model that is trained on; choose another --save or --out")
    check_writable(target.parent)
    return target


def chosen_model(arguments: argparse.Namespace, recipe: Recipe, device: torch.device) -> AutoDIR:
    """The model to train, in float32 on the device."""
    from autodir_core.model import load_autodir

    from ..training.recipes import start_model

    if arguments.model:
        return load_autodir(arguments.model, device, "float32")
    model = start_model(recipe)
    model.networks.to(device)
    return model


def check_built_on(parts: Sequence[str], folder: Path) -> None:
    """InputError where a part that another builds on is neither asked for nor finished in the folder."""
    for part in parts:
        for needed in NEEDS[part]:
            if needed not in parts and not (folder / f"{needed}-done.pt").is_file():
                raise InputError(
                    f"{part} builds on {needed}, which is not trained in {folder}; train it first, or --model"
                )
