"""Thresholds of the quality gate, fitted to rounds on photographs that serve nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from autodir_core.checkpoint.metadata import GateThresholds
from autodir_core.errors import InputError
from autodir_core.imaging.metrics import psnr
from autodir_core.labels import CLEAN, damage_probability
from autodir_core.model import AutoDIR
from autodir_core.outputs import Verdict
from autodir_core.pipeline import restore
from autodir_core.settings import LoopSettings, SamplerSettings
from autodir_core.stages.quality_gate import QualityGate

from .sources import Sample

CONFIDENCES = tuple(np.arange(0, 1, 0.05).round(2).tolist())
REMOVED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Values that are tried, the most generous first."""

MAX_GAIN = 6.0
"""Decibels beyond which a gain or a loss counts no more, so that no single picture decides."""

LOSS_WEIGHT = 3.0
"""How much a lost decibel counts more than a gained one: a photo that comes back worse is not forgiven."""

NEAR = 0.95
"""Part of the best that thresholds must be worth; of all such ones those that ask for the most confidence are taken,
which also spare photographs that are like none that was seen."""

EDGES_MARGIN, SHIFT_MARGIN = 0.05, 1.25
"""By how much the content of a round may be less like its input than in any good round that was seen."""

OPEN = GateThresholds(min_edges=-1.0, max_shift=1.0)
"""Accepts whatever the assessment finds improved."""


@dataclass(frozen=True)
class JudgedRound:
    """The first round of a sample, as a gate sees it, and what it was worth.

    Attributes:
        label: that won.
        confidence: its probability before the round, against "no".
        verdict: under thresholds that accept everything.
        gain: PSNR after minus before, in dB, within `MAX_GAIN`.
    """

    label: str
    confidence: float
    verdict: Verdict
    gain: float

    @property
    def utility(self) -> float:
        """What accepting it is worth."""
        return self.gain if self.gain > 0 else LOSS_WEIGHT * self.gain


def judge_rounds(model: AutoDIR, samples: Iterable[Sample], sampler: SamplerSettings, seed: int) -> list[JudgedRound]:
    """Restore one round of each sample that is not found clean, and measure it against its reference."""
    gate = QualityGate({label: OPEN for label in model.labels}, model.labels, lambda x: model.assess(x).probabilities)
    rounds = []
    for sample in samples:
        pair = sample.load()
        if pair.reference is None:
            raise InputError(f"{sample.key} has no reference, without which no round can be measured")
        done = restore(model, pair.degraded, LoopSettings(max_rounds=1), sampler, seed=seed)
        if not done.rounds:
            continue
        label = str(done.rounds[0].label)
        before = gate.probabilities(pair.degraded)
        verdict = gate.judge(pair.degraded, done.image, label, before)
        gain = np.clip(psnr(done.image, pair.reference) - psnr(pair.degraded, pair.reference), -MAX_GAIN, MAX_GAIN)
        rounds.append(JudgedRound(label, damage_probability(before, label), verdict, float(gain)))
    return rounds


def fit_thresholds(rounds: Sequence[JudgedRound], labels: Sequence[str]) -> dict[str, GateThresholds]:
    """Return for each label the thresholds under which its rounds are worth most; generous ones where none is known."""
    return {label: fit_label([one for one in rounds if one.label == label]) for label in labels if label != CLEAN}


def fit_label(rounds: Sequence[JudgedRound]) -> GateThresholds:
    """Return thresholds for the rounds of one label: content first, then confidence and removed damage together."""
    good = [one.verdict for one in rounds if one.gain > 0]
    if not good:
        return GateThresholds()
    usual = GateThresholds()  # what single damage teaches would refuse rounds on mixtures, which change more
    content = GateThresholds(
        min_edges=round(min(max(min(one.edges for one in good) - EDGES_MARGIN, -1.0), usual.min_edges), 3),
        max_shift=round(max(min(max(one.shift for one in good) * SHIFT_MARGIN, 1.0), usual.max_shift), 3),
    )
    tried = [replace(content, min_confidence=least, min_removed=part) for least, part in product(CONFIDENCES, REMOVED)]
    worths = [worth(rounds, thresholds) for thresholds in tried]
    near = [one for one, value in zip(tried, worths, strict=True) if value >= NEAR * max(worths)]
    return max(near, key=lambda one: (one.min_confidence, -one.min_removed))


def worth(rounds: Sequence[JudgedRound], thresholds: GateThresholds) -> float:
    """Return the summed utility of the rounds that are accepted."""
    return sum(one.utility for one in rounds if accepts(thresholds, one))


def accepts(thresholds: GateThresholds, one: JudgedRound) -> bool:
    """Return whether a gate of these thresholds lets a round pass."""
    verdict = one.verdict
    return (
        verdict.accepted
        and one.confidence >= thresholds.min_confidence
        and verdict.removed >= thresholds.min_removed
        and verdict.edges >= thresholds.min_edges
        and verdict.shift <= thresholds.max_shift
    )


def describe(rounds: Sequence[JudgedRound], gate: dict[str, GateThresholds]) -> list[str]:
    """Return a line per label: its thresholds, and what they accept of the rounds they were fitted to."""
    lines = []
    for label, least in gate.items():
        some = [one for one in rounds if one.label == label]
        kept = [one for one in some if accepts(least, one)]
        lines.append(
            f"{label}: confidence {least.min_confidence:.2f}, removed {least.min_removed:.1f}, edges "
            f"{least.min_edges:.2f}, shift {least.max_shift:.3f}; accepts {len(kept)} of {len(some)} rounds, worse "
            f"{sum(one.gain < 0 for one in kept)} of {sum(one.gain < 0 for one in some)}"
        )
    return lines
