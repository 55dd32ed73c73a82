"""Distillation of a model before a label is added: learning without forgetting (Li and Hoiem 2016)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..data.dataset import Batch
from ..data.sources import TrainingData

if TYPE_CHECKING:
    from open_clip import CLIP

LogitsFn = Callable[[Tensor], Tensor]
"""Images [B, H, W, 3], 0..1 -> logits [B, L]."""


@dataclass(frozen=True)
class Teacher:
    """The assessment before a label is added.

    Attributes:
        clip: a frozen copy.
        logits_fn: gives its logits over the labels that it knows.
    """

    clip: CLIP
    logits_fn: LogitsFn


@torch.no_grad()
def teacher_probabilities(batch: Batch, data: TrainingData, logits_fn: LogitsFn) -> Tensor:
    """Return the teacher's probabilities [B, L] over all labels, 0 for the new one."""
    probabilities = torch.zeros(len(batch.labels), len(data.labels), device=batch.labels.device)
    probabilities[:, [label != data.new_label for label in data.labels]] = logits_fn(batch.degraded).softmax(dim=1)
    return probabilities


def distillation_loss(logits: Tensor, probabilities: Tensor, batch: Batch, data: TrainingData) -> Tensor:
    """Return the cross entropy of logits [B, L] with the teacher's probabilities, mean over the batch.

    Pictures of the new label count 0.
    """
    known = batch.labels != data.labels.index(data.new_label)
    return (nn.functional.cross_entropy(logits, probabilities, reduction="none") * known).mean()
