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
from autodir_core.stages.correction import lerp_correction
from autodir_core.stages.quality_gate import QualityGate

from .sources import Sample

CONFIDENCES = (*np.arange(0, 0.9, 0.05).round(2).tolist(), 0.9, 0.92, 0.94, 0.96, 0.98)
PROBABILITIES = REMOVED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Values that are tried, the most generous first."""

MAX_GAIN, MAX_LOSS = 12.0, 6.0
"""Decibels beyond which a gain or a loss counts no more, so that no single picture decides; darkness gains most."""

LOSS_WEIGHT = 3.0
"""How much a lost decibel counts more than a gained one: a photo that comes back worse is not forgiven."""

NEAR = 0.95
"""Part of the best that thresholds must be worth; of all such ones those that ask to be surest are taken,
which also spare photographs that are like none that was seen."""

PARTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Parts of a round's change that are tried, the whole first."""

EDGES_MARGIN, SHIFT_MARGIN = 0.05, 1.25
"""By how much the content of a round may be less like its input than in any good round that was seen."""

OPEN = GateThresholds(min_edges=-1.0, max_shift=1.0)
"""Accepts whatever the assessment finds improved."""


@dataclass(frozen=True)
class JudgedRound:
    """The first round of a sample, or a part of its change, as a gate sees it, and what it was worth.

    Attributes:
        label: that won.
        confidence, probability: of it before the round, against "no" and among all labels.
        verdict: under thresholds that accept everything.
        gain: PSNR after minus before, in dB, within `MAX_GAIN` and `MAX_LOSS`.
    """

    label: str
    confidence: float
    probability: float
    verdict: Verdict
    gain: float

    @property
    def utility(self) -> float:
        """What accepting it is worth."""
        return self.gain if self.gain > 0 else LOSS_WEIGHT * self.gain


def judge_rounds(model: AutoDIR, samples: Iterable[Sample], sampler: SamplerSettings, seed: int) -> list[JudgedRound]:
    """Restore one round of each sample that is not found clean, and measure its parts against the reference."""
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
        before, distance = gate.probabilities(pair.degraded), psnr(pair.degraded, pair.reference)
        for part in PARTS:
            image = lerp_correction(pair.degraded, done.image, part)
            verdict = gate.judge(pair.degraded, image, label, before, part)
            gain = float(np.clip(psnr(image, pair.reference) - distance, -MAX_LOSS, MAX_GAIN))
            rounds.append(JudgedRound(label, damage_probability(before, label), before[label], verdict, gain))
    return rounds


def fit_thresholds(rounds: Sequence[JudgedRound], labels: Sequence[str]) -> dict[str, GateThresholds]:
    """Return for each label the thresholds under which its rounds are worth most; generous ones where none is known."""
    return {label: fit_label([one for one in rounds if one.label == label]) for label in labels if label != CLEAN}


def fit_label(rounds: Sequence[JudgedRound]) -> GateThresholds:
    """Return thresholds for the rounds of one label, with the part of their change by which they are worth most."""
    parts = {part: [one for one in rounds if one.verdict.strength == part] for part in PARTS}
    fits = [fit_part(some) for some in parts.values() if some]
    return max(fits, key=lambda found: worth(rounds, found), default=GateThresholds())


def fit_part(rounds: Sequence[JudgedRound]) -> GateThresholds:
    """Return thresholds for one part of rounds: content first, then how sure and how much removed together."""
    content = fit_content(rounds)
    seen = np.array(
        [(one.confidence, one.probability, one.verdict.removed, one.utility) for one in rounds if accepts(content, one)]
    ).reshape(-1, 4)
    tried = [*product(CONFIDENCES, PROBABILITIES, REMOVED)]
    worths = [seen[(seen[:, :3] >= least).all(axis=1), 3].sum() for least in tried]
    enough = max(worths) - (1 - NEAR) * abs(max(worths))
    near = [least for least, value in zip(tried, worths, strict=True) if value >= enough]
    confidence, probability, removed = max(near, key=lambda least: (least[0] + least[1], -least[2]))
    return replace(content, min_confidence=confidence, min_probability=probability, min_removed=removed)


def fit_content(rounds: Sequence[JudgedRound]) -> GateThresholds:
    """Return what every good one of some rounds kept, no stricter than usual: on mixtures good rounds change more."""
    good, usual = [one.verdict for one in rounds if one.gain > 0], GateThresholds()
    return GateThresholds(
        max_strength=rounds[0].verdict.strength,
        min_edges=round(max(min([usual.min_edges, *(one.edges - EDGES_MARGIN for one in good)]), -1.0), 3),
        max_shift=round(min(max([usual.max_shift, *(one.shift * SHIFT_MARGIN for one in good)]), 1.0), 3),
    )


def worth(rounds: Sequence[JudgedRound], thresholds: GateThresholds) -> float:
    """Return the summed utility of the rounds that are accepted."""
    return sum(one.utility for one in rounds if accepts(thresholds, one))


def accepts(thresholds: GateThresholds, one: JudgedRound) -> bool:
    """Return whether a gate of these thresholds tries this part of a round first, and lets it pass."""
    verdict = one.verdict
    return (
        verdict.accepted
        and verdict.strength == thresholds.max_strength
        and one.confidence >= thresholds.min_confidence
        and one.probability >= thresholds.min_probability
        and verdict.removed >= thresholds.min_removed
        and verdict.edges >= thresholds.min_edges
        and verdict.shift <= thresholds.max_shift
    )


def describe(rounds: Sequence[JudgedRound], gate: dict[str, GateThresholds]) -> list[str]:
    """Return a line per label: its thresholds, and what they accept of the rounds they were fitted to."""
    lines = []
    for label, least in gate.items():
        some = [one for one in rounds if one.label == label and one.verdict.strength == least.max_strength]
        kept = [one for one in some if accepts(least, one)]
        lines.append(
            f"{label}: strength {least.max_strength:.1f}, confidence {least.min_confidence:.2f}, probability "
            f"{least.min_probability:.1f}, removed {least.min_removed:.1f}, edges {least.min_edges:.2f}, shift "
            f"{least.max_shift:.3f}; accepts {len(kept)} of {len(some)} rounds, worse "
            f"{sum(one.gain < 0 for one in kept)} of {sum(one.gain < 0 for one in some)}"
        )
    return lines
