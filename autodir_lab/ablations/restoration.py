"""Restoration with the blended, the top label's and the true label's embedding; with correction weights; in a loop.

The paper's ablations (section 4.3), measured with one model on photographs that were not in its training set.
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

from ..evaluation.protocol import ODD_NAMES, SEPARATOR, Protocol, degrade_crop, label_pairs, random_crops

SCM_WEIGHTS = (0.0, 0.5, 1.0)
"""Of the correction; 0 is the generated picture itself."""

EMBEDDINGS = ("blended", "top-1", "oracle")
"""The paper's blend of all labels; the top label alone; the ground-truth label."""

LOOPS = ("one round", "loop")

MIXTURES = "mixtures"
"""The subject of the gains of all mixtures."""


@dataclass(frozen=True)
class RestorationSettings:
    """What is measured.

    Args:
        protocol: crops, severity, steps and rounds of the evaluation; its seed is replaced.
        mixture_severity: of each of the two degradations of a mixture, 0..1.
        mixtures: of each crop, drawn from all pairs.
        seeds: each draws other crops, degradations and noise; the spread is over them.
    """

    protocol: Protocol = Protocol(crops=1, steps=10)
    mixture_severity: float = 0.4
    mixtures: int = 3
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class Gain:
    """PSNR gained over the degraded image in dB; `subject` is a label or `MIXTURES`."""

    seed: int
    subject: str
    variant: str
    decibels: float


def ablate_restoration(
    model: AutoDIR,
    photos: Mapping[str, Tensor],
    settings: RestorationSettings,
    *,
    on_image: Callable[[], object] = lambda: None,
) -> list[Gain]:
    """Measure every variant on every degraded crop.

    Args:
        model: from `load_autodir`.
        photos: clean [1, H, W, 3] in 0..1 by name, at least as large as a crop.
        settings: of the measurement.
        on_image: called after each degraded crop, `count_images` times.
    """
    gains = []
    for seed in settings.seeds:
        protocol = replace(settings.protocol, seed=seed)
        for name, number, clean in random_crops(photos, protocol):
            crop_name = f"{name} {number}"
            singles = single_gains(model, clean, crop_name, protocol)
            mixtures = mixture_gains(model, clean, crop_name, settings, seed)
            for subject, by_variant in (*singles, *mixtures):
                gains += [Gain(seed, subject, variant, decibels) for variant, decibels in by_variant.items()]
                on_image()
    return gains


def count_images(model: AutoDIR, settings: RestorationSettings, photos: int) -> int:
    """Return how many degraded crops of `photos` photos are restored."""
    return len(settings.seeds) * settings.protocol.crops * photos * (len(model.labels) - 1 + settings.mixtures)


def single_gains(
    model: AutoDIR, clean: Tensor, crop_name: str, protocol: Protocol
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield (label, gains in dB by variant) of one clean crop under each degradation."""
    for label in model.labels:
        if label != CLEAN:
            yield label, one_round_gains(model, clean, degrade_crop(clean, label, crop_name, protocol), label, protocol)


def mixture_gains(
    model: AutoDIR, clean: Tensor, crop_name: str, settings: RestorationSettings, seed: int
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield (`MIXTURES`, gains in dB of one round and of the loop) for some mixtures of one clean crop."""
    protocol = replace(settings.protocol, seed=seed, severity=settings.mixture_severity)
    pairs = label_pairs(model.labels)
    chosen = np.random.default_rng([seed, *crop_name.encode("utf-8", ODD_NAMES)]).choice(
        len(pairs), settings.mixtures, replace=False
    )
    for pair in (pairs[i] for i in chosen):
        degraded = degrade_crop(clean, SEPARATOR.join(pair), crop_name, protocol)
        yield MIXTURES, loop_gains(model, clean, degraded, protocol)


def one_round_gains(
    model: AutoDIR, clean: Tensor, degraded: Tensor, label: str, protocol: Protocol
) -> dict[str, float]:
    """Return gains in dB of one round with each embedding, and of the blended one with each correction weight."""
    assessment = model.assess(degraded)
    embeddings = {
        "blended": assessment.embedding,
        "top-1": model.prompts((assessment.top[0],)).states,
        "oracle": model.prompts((label,)).states,
    }
    before, image_latent, gains = psnr(degraded, clean), model.encode(degraded), {}
    for name, embedding in embeddings.items():
        latent = model.sample(image_latent, embedding, SamplerSettings(steps=protocol.steps), seed=protocol.seed)
        generated = model.decode(latent, size=(clean.shape[1], clean.shape[2]))
        corrected = model.correct(degraded, generated)
        gains[name] = psnr(corrected, clean) - before
        if name == "blended":
            weighted = {weight: generated + weight * (corrected - generated) for weight in SCM_WEIGHTS}
            gains |= {weight_name(weight): psnr(image, clean) - before for weight, image in weighted.items()}
    return gains


def weight_name(weight: float) -> str:
    """Return the variant of a correction weight."""
    return f"w = {weight:g}"


def loop_gains(model: AutoDIR, clean: Tensor, degraded: Tensor, protocol: Protocol) -> dict[str, float]:
    """Return gains in dB of the automatic loop stopped after one round, and of the whole loop."""
    sampler, gains = SamplerSettings(steps=protocol.steps), {}
    for name, max_rounds in zip(LOOPS, (1, protocol.max_rounds), strict=True):
        restored = restore(model, degraded, LoopSettings(max_rounds=max_rounds), sampler, seed=protocol.seed).image
        gains[name] = psnr(restored, clean) - psnr(degraded, clean)
    return gains
