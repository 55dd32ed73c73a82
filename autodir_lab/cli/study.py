"""Try the paper's claims at the size of the mini model; an interrupted study of recognition goes on where it was."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodir_core.cli.console import progress_off, say
from autodir_core.cli.options import add_model_options, add_quiet, at_least, load_model, names
from autodir_core.cli.pictures import check_writable
from autodir_core.errors import InputError
from autodir_core.imaging.paths import atomic_path

if TYPE_CHECKING:
    from torch import Tensor

BOTH = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        choices=(BOTH, "recognition", "restoration"),
        default=BOTH,
        help="recognition trains a plain classifier, CLIP with the classification loss, and with the semantic-agnostic "
        "term; restoration compares embeddings, weights of the correction, and the loop with one round (default: both)",
    )
    parser.add_argument("-o", "--out", metavar="FOLDER", required=True, help="gets the table, every number, trainings")
    parser.add_argument(
        "--photos", metavar="FOLDER", help="clean, to measure on (default: eight that come with Python packages)"
    )
    parser.add_argument("--seeds", type=names, default=("0", "1", "2"), help="between commas (default: 0,1,2)")
    parser.add_argument("--crops", type=at_least(1), help="per photo and seed (default: recognition 2, restoration 1)")
    group = parser.add_argument_group("recognition")
    group.add_argument("--recipe", default="mini", metavar="FILE", help="of the trainings (default: mini)")
    group.add_argument("--steps", type=at_least(1), default=250, help="of each training (default: %(default)s)")
    group.add_argument("--train-photos", metavar="FOLDER", help="clean, to train on beside scenes (default: none)")
    group.add_argument("--threads", type=at_least(1), help="CPU threads (default: as many as torch chooses)")
    add_model_options(parser)
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    import torch

    from ..evaluation.photos import folder_photos, natural_photos

    folder = Path(arguments.out)
    check_writable(folder)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    photos = folder_photos(Path(arguments.photos)) if arguments.photos else natural_photos()
    studies = {"recognition": recognition, "restoration": restoration}
    for name in studies if arguments.what == BOTH else (arguments.what,):
        text, results = studies[name](arguments, photos, folder)
        say(text, quiet=arguments.quiet)
        write(folder / f"{name}.md", text + "\n")
        write(folder / f"{name}.json", json.dumps([asdict(result) for result in results], indent=1))
    return 0


def recognition(arguments: argparse.Namespace, photos: dict[str, Tensor], folder: Path) -> tuple[str, Sequence[Any]]:
    """The table and the results of the trainings."""
    from ..ablations import RecognitionPlan, recognition_study, recognition_table
    from ..training.recipes import read_recipe
    from ..training.stages import gather_data

    recipe = read_recipe(arguments.recipe)
    sources = replace(recipe.data, photos=arguments.train_photos or recipe.data.photos)
    data = gather_data(sources, recipe.metadata.labels, folder, seed=recipe.seed)
    plan = RecognitionPlan(arguments.steps, seeds(arguments), crops=arguments.crops or RecognitionPlan.crops)
    results = recognition_study(recipe, data, photos, plan, folder)
    head = f"{plan.steps} steps each, seeds {listed(plan.seeds)}, {len(photos)} photos, {plan.crops} crops"
    return f"{head}\n\n{recognition_table(results)}", results


def restoration(arguments: argparse.Namespace, photos: dict[str, Tensor], folder: Path) -> tuple[str, Sequence[Any]]:
    """The tables and the gains."""
    from tqdm import tqdm

    from ..ablations import RestorationPlan, restoration_study, restoration_tables
    from ..ablations.restoration import pictures_of

    model, plan = load_model(arguments), RestorationPlan(seeds=seeds(arguments))
    if arguments.crops:
        plan = replace(plan, protocol=replace(plan.protocol, crops=arguments.crops))
    total = pictures_of(model, plan, len(photos))
    with tqdm(total=total, unit="picture", disable=progress_off(arguments.quiet)) as bar:
        gains = restoration_study(model, photos, plan, on_picture=bar.update)
    protocol = plan.protocol
    head = (
        f"{model.metadata.name or 'model'}, seeds {listed(plan.seeds)}, {len(photos)} photos, {protocol.crops} crops "
        f"of {protocol.size} pixels, severity {protocol.severity:g} (mixtures {plan.mixture_severity:g} each), "
        f"{protocol.steps} steps"
    )
    return f"{head}\n\n{restoration_tables(gains, model.labels)}", gains


def seeds(arguments: argparse.Namespace) -> tuple[int, ...]:
    """The whole numbers of --seeds."""
    if not arguments.seeds or not all(seed.isdecimal() for seed in arguments.seeds):
        raise InputError(f"--seeds takes whole numbers between commas, got {','.join(arguments.seeds)!r}")
    return tuple(int(seed) for seed in arguments.seeds)


def listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
