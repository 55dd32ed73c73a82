"""The studies' tables, as Markdown: means over the seeds, with their spread."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from ..evaluation.tables import grid
from .recognition import KINDS, Recognised
from .restoration import EMBEDDINGS, LOOPS, MIXTURES, WEIGHTS, Gain, weight_name

VARIANTS = (*EMBEDDINGS, *(weight_name(weight) for weight in WEIGHTS))


def recognition_table(results: Sequence[Recognised]) -> str:
    """One row per kind: right labels, and clean photos taken for degraded ones, in percent."""
    rows = []
    for kind in KINDS:
        of_kind = [result for result in results if result.kind == kind]
        shares = ([100 * one.accuracy for one in of_kind], [100 * one.false_alarms for one in of_kind])
        rows.append([kind, *(with_spread(share, ".1f") for share in shares)])
    return grid(["trained as", "right labels, %", "false alarms on clean photos, %"], rows)


def restoration_tables(gains: Sequence[Gain], labels: Sequence[str]) -> str:
    """Gains in dB: every degradation in one round with each variant, and the mixtures with and without the loop."""
    damages = [label for label in labels if any(gain.subject == label for gain in gains)]
    rows = [[label, *gain_cells(gains, [label], VARIANTS)] for label in damages]
    rows.append(["**mean**", *gain_cells(gains, damages, VARIANTS)])
    singles = grid(["one round, gain in dB", *VARIANTS], rows)
    mixed = grid(["two degradations, gain in dB", *LOOPS], [[MIXTURES, *gain_cells(gains, [MIXTURES], LOOPS)]])
    return f"{singles}\n\n{mixed}"


def gain_cells(gains: Sequence[Gain], subjects: Sequence[str], variants: Sequence[str]) -> list[str]:
    return [with_spread(per_seed(gains, subjects, variant), "+.2f") for variant in variants]


def per_seed(gains: Sequence[Gain], subjects: Sequence[str], variant: str) -> list[float]:
    """The mean gain of one variant over some subjects, for each seed."""
    seeds = sorted({gain.seed for gain in gains})
    return [
        mean(g.decibels for g in gains if g.seed == seed and g.subject in subjects and g.variant == variant)
        for seed in seeds
    ]


def with_spread(values: Sequence[float], form: str) -> str:
    """The mean, with the standard deviation over the seeds where there are several."""
    spread = f" ± {stdev(values):{form.lstrip('+')}}" if len(values) > 1 else ""
    return f"{mean(values):{form}}{spread}"
