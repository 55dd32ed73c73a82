"""Calibrated probabilities: how far they are from the share of right labels, and the temperature that brings them near.

Guo et al. 2017, "On calibration of modern neural networks". The temperature divides CLIP's logit scale, so that a
calibrated file needs no key of its own, and its top labels stay what they were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from autodir_core.imaging.layout import check_finite
from autodir_core.model import AutoDIR
from autodir_core.stages.biqa import encode_prompts, label_logits

from .sources import Sample

if TYPE_CHECKING:
    from open_clip import CLIP

BINS = 15
"""Of equal width, as Guo et al. have them."""

MAX_TEMPERATURE = 20.0
"""The fit ends there, and at its inverse."""


def expected_calibration_error(probabilities: Sequence[float], hits: Sequence[bool]) -> float:
    """Return the mean distance, 0..1, between the top label's probability and the accuracy, over bins of probability.

    Args:
        probabilities: of each sample's top label.
        hits: whether it was right.
    """
    p, right = torch.tensor(probabilities, dtype=torch.float64), torch.tensor(hits, dtype=torch.float64)
    bins = (p * BINS).ceil().long().clamp(1, BINS)
    gaps = [(p - right)[bins == number].sum().abs() for number in range(1, BINS + 1)]
    return float(sum(gaps) / len(p))


def fit_temperature(logits: Tensor, truth: Tensor) -> float:
    """Return the temperature under which logits [N, L] give the labels [N] the highest likelihood.

    Every label counts alike, however many samples it has. The loss is convex in the inverse temperature, so that a
    golden-section search finds its minimum.
    """
    weights = 1 / torch.bincount(truth, minlength=logits.shape[1]).clamp(min=1)

    def loss(log_temperature: float) -> float:
        return float(nn.functional.cross_entropy(logits / math.exp(log_temperature), truth, weights))

    low, high, golden = -math.log(MAX_TEMPERATURE), math.log(MAX_TEMPERATURE), (math.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)


@torch.no_grad()
def sample_logits(model: AutoDIR, samples: Iterable[Sample]) -> tuple[Tensor, Tensor]:
    """Return the logits [N, L] of samples with one label each, by the central crop, and those labels [N]."""
    prompts = encode_prompts(model.networks.clip, model.labels)
    rows, truth = [], []
    for sample in samples:
        logits = label_logits(model.networks.clip, sample.load().degraded, prompts)
        rows.append(check_finite(logits, f"the assessment of {sample.key}")[0].cpu())
        truth.append(model.labels.index(sample.labels[0]))
    return torch.stack(rows), torch.tensor(truth)


@torch.no_grad()
def scale_logits(clip: CLIP, temperature: float) -> None:
    """Divide the assessment's logits by a temperature, for good."""
    clip.logit_scale.sub_(math.log(temperature))


def calibrate(model: AutoDIR, samples: Iterable[Sample]) -> tuple[AutoDIR, str]:
    """Fit the temperature of a model to samples and fold it into its logit scale, in place.

    Returns the model, whose provenance says so, and a line that tells temperature and calibration error.
    """
    logits, truth = sample_logits(model, samples)
    temperature = fit_temperature(logits, truth)
    scale_logits(model.networks.clip, temperature)
    errors = []
    for scaled in (logits, logits / temperature):
        probabilities, top = scaled.softmax(dim=1).max(dim=1)
        errors.append(expected_calibration_error(probabilities.tolist(), (top == truth).tolist()))
    line = f"temperature {temperature:.3f}, expected calibration error {errors[0]:.3f} before, {errors[1]:.3f} after"
    before = model.metadata.provenance
    provenance = f"{before}; " * bool(before) + f"probabilities calibrated with temperature {temperature:.3f}"
    return AutoDIR(model.networks, model.config, replace(model.metadata, provenance=provenance)), line
