"""Run ablations of the paper's ideas at the size of the mini model; an interrupted one of recognition resumes."""

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

if TYPE_CHECKING:
    from torch import Tensor

BOTH = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ablation",
        nargs="?",
        choices=(BOTH, "recognition", "restoration"),
        default=BOTH,
        help="recognition trains a plain classifier, CLIP with the classification loss, and with the semantic-agnostic "
        "term; restoration compares embeddings, correction weights, and the loop with one round (default: both)",
    )
    parser.add_argument("-o", "--out", metavar="FOLDER", required=True, help="gets tables, every number, trainings")
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="clean, to measure on (default: eight that come with Python packages)",
    )
    parser.add_argument("--seeds", type=seed_list, default=(0, 1, 2), help="between commas (default: 0,1,2)")
    parser.add_argument("--crops", type=at_least(1), help="per photo and seed (default: recognition 2, restoration 1)")
    group = parser.add_argument_group("recognition")
    group.add_argument("--recipe", default="mini", metavar="FILE", help="of the trainings (default: mini)")
    group.add_argument("--steps", type=at_least(1), default=250, help="of each training (default: %(default)s)")
    group.add_argument("--train-photos", metavar="FOLDER", help="clean, to train on besides scenes (default: none)")
    group.add_argument("--threads", type=at_least(1), help="CPU threads (default: as many as torch chooses)")
    group = parser.add_argument_group("restoration")
    group.add_argument("--sampling-steps", type=at_least(1), default=10, help="of each round (default: %(default)s)")
    group.add_argument("--size", type=at_least(32), default=256, help="side of a crop in pixels (default: %(default)s)")
    add_model_options(parser)
    add_quiet(parser)


def seed_list(text: str) -> tuple[int, ...]:
    """Parse whole numbers between commas."""
    numbers = tuple(map(at_least(0), names(text)))
    if not numbers:
        raise argparse.ArgumentTypeError("give at least one seed")
    return numbers


def run(arguments: argparse.Namespace) -> int:
    import torch

    from ..evaluation.report.writer import write_text
    from ..evaluation.sources import load_photos

    folder = Path(arguments.out)
    check_writable(folder)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    photos = load_photos(arguments.photos)
    ablations = {"recognition": run_recognition, "restoration": run_restoration}
    for name in ablations if arguments.ablation == BOTH else (arguments.ablation,):
        text, results = ablations[name](arguments, photos, folder)
        say(text, quiet=arguments.quiet)
        write_text(folder / f"{name}.md", text + "\n")
        write_text(folder / f"{name}.json", json.dumps([asdict(result) for result in results], indent=1))
    return 0


def run_recognition(
    arguments: argparse.Namespace, photos: dict[str, Tensor], folder: Path
) -> tuple[str, Sequence[Any]]:
    """Return the table and the results of the trainings."""
    from ..ablations import RecognitionSettings, ablate_recognition
    from ..ablations.tables import recognition_table
    from ..training.data.build import load_data
    from ..training.recipes import read_recipe

    recipe = read_recipe(arguments.recipe)
    sources = replace(recipe.data, photos=arguments.train_photos or recipe.data.photos)
    data = load_data(sources, recipe.metadata.labels, folder, seed=recipe.seed)
    crops = arguments.crops or RecognitionSettings.crops
    settings = RecognitionSettings(arguments.steps, arguments.seeds, crops=crops)
    results = ablate_recognition(recipe, data, photos, settings, folder)
    seeds = ", ".join(map(str, settings.seeds))
    header = f"{settings.steps} steps each, seeds {seeds}, {len(photos)} photos, {settings.crops} crops"
    return f"{header}\n\n{recognition_table(results)}", results


def run_restoration(
    arguments: argparse.Namespace, photos: dict[str, Tensor], folder: Path
) -> tuple[str, Sequence[Any]]:
    """Return the tables and the gains."""
    from tqdm import tqdm

    from ..ablations import RestorationSettings, ablate_restoration
    from ..ablations.restoration import count_images
    from ..ablations.tables import restoration_tables
    from ..evaluation import Protocol

    model = load_model(arguments)
    protocol = Protocol(crops=arguments.crops or 1, size=arguments.size, steps=arguments.sampling_steps)
    settings = RestorationSettings(protocol, seeds=arguments.seeds)
    total = count_images(model, settings, len(photos))
    with tqdm(total=total, unit="image", disable=progress_off(arguments.quiet)) as bar:
        gains = ablate_restoration(model, photos, settings, on_image=bar.update)
    seeds = ", ".join(map(str, settings.seeds))
    header = (
        f"{model.metadata.name or 'model'}, seeds {seeds}, {len(photos)} photos, {protocol.crops} crops of "
        f"{protocol.size} pixels, severity {protocol.severity:g} (mixtures {settings.mixture_severity:g} each), "
        f"{protocol.steps} steps"
    )
    return f"{header}\n\n{restoration_tables(gains, model.labels)}", gains
