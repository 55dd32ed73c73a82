"""Synthetic training pairs: a clean crop and what degradations, a second one and the web make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from autodir_core.choices import DEGRADATIONS
from autodir_core.degrade import degrade
from autodir_core.labels import CLEAN, LABELS

from .augment import apply_web, restrict_to_part
from .crops import CropConfig

Degradation = Callable[[Tensor, float, int], Tensor]
"""(crop [S, S, 4] of color and depth, severity 0..1, seed) -> degraded color [S, S, 3], all in 0..1.

Data loading workers on Windows and macOS need one that can be pickled: a function of a module, or a `partial` of it.
"""


def degrade_with_depth(label: str, crop: Tensor, severity: float, seed: int) -> Tensor:
    """Apply one of the built-in degradations to a crop [S, S, 4]; in 7 of 10 crops haze follows their depth."""
    depth = crop[None, ..., 3] if np.random.default_rng(seed).random() < 0.7 else None
    return degrade(crop[None, ..., :3], label, severity=severity, seed=seed, depth=depth)[0]


SYNTHETIC: Mapping[str, Degradation] = {label: partial(degrade_with_depth, label) for label in LABELS if label != CLEAN}
"""The degradations of the official labels."""

ALIKE = frozenset({"blur", "low resolution"})
"""Two degradations of which one cannot be told when it comes on top of the other."""


def draw_synthetic_pair(
    crop: Tensor, label: str, degradations: Mapping[str, Degradation], config: CropConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return the clean color [S, S, 3] of a crop [S, S, 4] of color and depth, and its degraded version.

    Args:
        crop: in 0..1.
        label: of the pair; "no" returns the same picture twice.
        degradations: by label.
        config: how severe they are, and how probable what may come with them.
        rng: of this pair alone.
    """
    probs, clean = config.augmentation, crop[..., :3]
    degraded = clean
    if label != CLEAN:
        severities = {label: float(rng.uniform(config.min_severity, 1))}
        if rng.random() < probs.second:
            severities |= draw_second(label, severities[label], degradations, rng)
        degraded = degrade_in_order(crop, severities, degradations, rng)
        if rng.random() < probs.partial:
            degraded = restrict_to_part(clean, degraded, rng)
    if rng.random() < probs.web:
        degraded = apply_web(degraded, rng)
    return (degraded, degraded) if label == CLEAN else (clean, degraded)


def draw_second(
    label: str, severity: float, degradations: Mapping[str, Degradation], rng: np.random.Generator
) -> dict[str, float]:
    """Draw a degradation besides that of `label`, at half its severity at most, so that the label stays right."""
    others = [other for other in degradations if other != label and not {other, label} <= ALIKE]
    return {str(rng.choice(others)): float(rng.uniform(0, 0.5)) * severity} if others else {}


def degrade_in_order(
    crop: Tensor, severities: Mapping[str, float], degradations: Mapping[str, Degradation], rng: np.random.Generator
) -> Tensor:
    """Degrade a crop [S, S, 4] by each label, in the order of image formation; the color [S, S, 3]."""
    color, depth = crop[..., :3], crop[..., 3:]
    known = list(DEGRADATIONS)
    for label in sorted(severities, key=lambda one: known.index(one) if one in known else len(known)):
        color = degradations[label](torch.cat([color, depth], dim=-1), severities[label], int(rng.integers(2**31)))
    return color
