"""Restoration with the blended, the winning and the true label's embedding; with more or less correction; in a loop.

The paper's ablations (section 4.3), measured with one model on photographs that training has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from autodir_core.imaging.metrics import psnr
from autodir_core.labels import CLEAN
from autodir_core.model import AutoDIR
from autodir_core.pipeline import restore
from autodir_core.settings import LoopSettings, SamplerSettings

from ..evaluation import Protocol
from ..evaluation.protocol import crops, damaged, mixtures
from ..evaluation.sample_result import JOIN

WEIGHTS = (0.0, 0.5, 1.0)
"""Of the correction; 0 is the generated picture itself, without it."""

EMBEDDINGS = ("blended", "winner", "oracle")
"""The paper's blend of all labels; the most probable label alone; the label that the picture was damaged with."""

LOOPS = ("one round", "loop")

MIXTURES = "mixtures"
"""The subject under which all mixtures are counted."""


@dataclass(frozen=True)
class RestorationPlan:
    """What is measured.

    Args:
        protocol: crops, severity, steps and rounds of the evaluation; its seed is replaced.
        mixture_severity: of each of the two degradations of a mixture, 0..1.
        mixtures: of each crop, drawn from all pairs.
        seeds: each draws other crops, damages and noise; the spread is over them.
    """

    protocol: Protocol = Protocol(crops=1, steps=10)
    mixture_severity: float = 0.4
    mixtures: int = 3
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class Gain:
    """PSNR gained over the degraded picture in dB: `subject` is a label or `MIXTURES`, `variant` what was tried."""

    seed: int
    subject: str
    variant: str
    decibels: float


def restoration_study(
    model: AutoDIR,
    photos: Mapping[str, Tensor],
    plan: RestorationPlan,
    *,
    on_picture: Callable[[], object] = lambda: None,
) -> list[Gain]:
    """Measure every variant on every damaged crop.

    Args:
        model: from `load_autodir`.
        photos: clean [1, H, W, 3] in 0..1 by name, at least as large as a crop.
        plan: what is measured.
        on_picture: called after each damaged crop, `pictures_of` times.
    """
    gains = []
    for seed in plan.seeds:
        protocol = replace(plan.protocol, seed=seed)
        for name, number, clean in crops(photos, protocol):
            place = f"{name} {number}"
            for subject, variants in (*singles(model, clean, place, protocol), *mixed(model, clean, place, plan, seed)):
                gains += [Gain(seed, subject, variant, value) for variant, value in variants.items()]
                on_picture()
    return gains


def pictures_of(model: AutoDIR, plan: RestorationPlan, photos: int) -> int:
    """How many damaged crops the study restores."""
    return len(plan.seeds) * plan.protocol.crops * photos * (len(model.labels) - 1 + plan.mixtures)


def singles(model: AutoDIR, clean: Tensor, place: str, protocol: Protocol) -> Iterator[tuple[str, dict[str, float]]]:
    """(label, gains in dB by variant) of one clean crop under each degradation."""
    for label in model.labels:
        if label != CLEAN:
            yield label, one_round(model, clean, damaged(clean, label, place, protocol), label, protocol)


def mixed(
    model: AutoDIR, clean: Tensor, place: str, plan: RestorationPlan, seed: int
) -> Iterator[tuple[str, dict[str, float]]]:
    """Gains in dB of one round and of the loop, for some mixtures of one clean crop."""
    protocol = replace(plan.protocol, seed=seed, severity=plan.mixture_severity)
    pairs = mixtures(model.labels)
    chosen = np.random.default_rng([seed, *place.encode()]).choice(len(pairs), plan.mixtures, replace=False)
    for pair in (pairs[i] for i in chosen):
        yield MIXTURES, rounds(model, clean, damaged(clean, JOIN.join(pair), place, protocol), protocol)


def one_round(model: AutoDIR, clean: Tensor, degraded: Tensor, label: str, protocol: Protocol) -> dict[str, float]:
    """Gains in dB of one round with each embedding, and of the blended one with each weight of the correction."""
    assessment = model.assess(degraded)
    texts = {
        "blended": assessment.embedding,
        "winner": model.prompts((assessment.top[0],)).states,
        "oracle": model.prompts((label,)).states,
    }
    before, latent, gains = psnr(degraded, clean), model.encode(degraded), {}
    for name, text in texts.items():
        z = model.sample(latent, text, SamplerSettings(steps=protocol.steps), seed=protocol.seed)
        generated = model.decode(z, size=(clean.shape[1], clean.shape[2]))
        corrected = model.correct(degraded, generated)
        gains[name] = psnr(corrected, clean) - before
        if name == "blended":
            weighted = {weight: generated + weight * (corrected - generated) for weight in WEIGHTS}
            gains |= {weight_name(weight): psnr(image, clean) - before for weight, image in weighted.items()}
    return gains


def weight_name(weight: float) -> str:
    return f"w = {weight:g}"


def rounds(model: AutoDIR, clean: Tensor, degraded: Tensor, protocol: Protocol) -> dict[str, float]:
    """Gains in dB of the automatic loop stopped after one round, and of the whole."""
    sampler, gains = SamplerSettings(steps=protocol.steps), {}
    for name, most in zip(LOOPS, (1, protocol.max_rounds), strict=True):
        restored = restore(model, degraded, LoopSettings(max_rounds=most), sampler, seed=protocol.seed).image
        gains[name] = psnr(restored, clean) - psnr(degraded, clean)
    return gains
