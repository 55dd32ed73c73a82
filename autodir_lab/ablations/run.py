"""Ablations from the options of `study` to their tables: means over the seeds, with their spread."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from autodir_core.cli.console import progress, say
from autodir_core.cli.options import load_model
from autodir_core.cli.pictures import check_writable
from autodir_core.serialization.atomic import write_text

from ..evaluation.protocol import Protocol
from ..evaluation.report.tables import markdown_table
from ..evaluation.sources import load_photos
from ..training.data.sources import load_data
from ..training.recipes.recipe import read_recipe
from . import recognition, restoration
from .recognition import RecognitionResult, RecognitionSettings
from .restoration import Gain, RestorationSettings

ONE_ROUND_VARIANTS = (*restoration.EMBEDDINGS, *map(restoration.weight_name, restoration.SCM_WEIGHTS))


def run_ablations(arguments: argparse.Namespace, names: Sequence[str]) -> int:
    """Run the named ablations; print their tables, and write them and every number into the output folder."""
    folder = Path(arguments.output)
    check_writable(folder)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    photos = load_photos(arguments.photos)
    ablations = {"recognition": run_recognition, "restoration": run_restoration}
    for name in names:
        text, results = ablations[name](arguments, photos, folder)
        say(text, quiet=arguments.quiet)
        write_text(folder / f"{name}.md", text + "\n")
        write_text(folder / f"{name}.json", json.dumps([asdict(result) for result in results], indent=1))
    return 0


def run_recognition(
    arguments: argparse.Namespace, photos: dict[str, Tensor], folder: Path
) -> tuple[str, Sequence[Any]]:
    """Return the table and the results of the trainings."""
    recipe = read_recipe(arguments.recipe)
    sources = replace(recipe.data, photos=arguments.train_photos or recipe.data.photos)
    data = load_data(sources, recipe.metadata.labels, folder, seed=recipe.seed)
    crops = arguments.crops_per_photo or RecognitionSettings.crops
    settings = RecognitionSettings(arguments.steps, arguments.seeds, crops=crops)
    results = recognition.ablate_recognition(recipe, data, photos, settings, folder)
    seeds = ", ".join(map(str, settings.seeds))
    header = f"{settings.steps} steps each, seeds {seeds}, {len(photos)} photos, {settings.crops} crops"
    return f"{header}\n\n{recognition_table(results)}", results


def run_restoration(
    arguments: argparse.Namespace, photos: dict[str, Tensor], folder: Path
) -> tuple[str, Sequence[Any]]:
    """Return the tables and the gains."""
    model = load_model(arguments)
    protocol = Protocol(crops=arguments.crops_per_photo or 1, size=arguments.size, steps=arguments.sampling_steps)
    settings = RestorationSettings(protocol, seeds=arguments.seeds)
    total = restoration.count_images(model, settings, len(photos))
    with progress(total=total, desc="images", unit="image", quiet=arguments.quiet) as bar:
        gains = restoration.ablate_restoration(model, photos, settings, on_image=bar.update)
    seeds = ", ".join(map(str, settings.seeds))
    header = (
        f"{model.metadata.name or 'model'}, seeds {seeds}, {len(photos)} photos, {protocol.crops} crops of "
        f"{protocol.size} pixels, severity {protocol.severity:g} (mixtures {settings.mixture_severity:g} each), "
        f"{protocol.steps} steps"
    )
    return f"{header}\n\n{restoration_tables(gains, model.labels)}", gains


def recognition_table(results: Sequence[RecognitionResult]) -> str:
    """Return accuracy and false positives on clean photos in percent, one row per variant."""
    rows = []
    for variant in recognition.VARIANTS:
        own = [result for result in results if result.variant == variant]
        percents = ([100 * one.accuracy for one in own], [100 * one.false_positive_rate for one in own])
        rows.append([variant, *(mean_and_std(values, ".1f") for values in percents)])
    return markdown_table(["trained as", "accuracy, %", "false positives on clean photos, %"], rows)


def restoration_tables(gains: Sequence[Gain], labels: Sequence[str]) -> str:
    """Return gains in dB: each degradation in one round with each variant, mixtures with and without the loop."""
    measured = [label for label in labels if any(gain.subject == label for gain in gains)]
    rows = [[label, *gain_cells(gains, [label], ONE_ROUND_VARIANTS)] for label in measured]
    rows.append(["**mean**", *gain_cells(gains, measured, ONE_ROUND_VARIANTS)])
    singles = markdown_table(["one round, gain in dB", *ONE_ROUND_VARIANTS], rows)
    mixture_row = [restoration.MIXTURES, *gain_cells(gains, [restoration.MIXTURES], restoration.LOOPS)]
    return f"{singles}\n\n{markdown_table(['two degradations, gain in dB', *restoration.LOOPS], [mixture_row])}"


def gain_cells(gains: Sequence[Gain], subjects: Sequence[str], variants: Sequence[str]) -> list[str]:
    """Return the cell of each variant over some subjects."""
    return [mean_and_std(seed_means(gains, subjects, variant), "+.2f") for variant in variants]


def seed_means(gains: Sequence[Gain], subjects: Sequence[str], variant: str) -> list[float]:
    """Return the mean gain of one variant over some subjects, for each seed."""
    seeds = sorted({gain.seed for gain in gains})
    return [
        mean(g.decibels for g in gains if g.seed == seed and g.subject in subjects and g.variant == variant)
        for seed in seeds
    ]


def mean_and_std(values: Sequence[float], spec: str) -> str:
    """Return the mean, with the standard deviation if there are several values."""
    spread = f" ± {stdev(values):{spec.lstrip('+')}}" if len(values) > 1 else ""
    return f"{mean(values):{spec}}{spread}"
