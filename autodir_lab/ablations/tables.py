"""Tables of the ablations as Markdown: means over the seeds, with their spread."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from ..evaluation.report.table import markdown_table
from .recognition import VARIANTS, RecognitionResult
from .restoration import EMBEDDINGS, LOOPS, MIXTURES, SCM_WEIGHTS, Gain, weight_name

ONE_ROUND_VARIANTS = (*EMBEDDINGS, *map(weight_name, SCM_WEIGHTS))


def recognition_table(results: Sequence[RecognitionResult]) -> str:
    """Return accuracy and false positives on clean photos in percent, one row per variant."""
    rows = []
    for variant in VARIANTS:
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
    mixture_row = [MIXTURES, *gain_cells(gains, [MIXTURES], LOOPS)]
    return f"{singles}\n\n{markdown_table(['two degradations, gain in dB', *LOOPS], [mixture_row])}"


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
