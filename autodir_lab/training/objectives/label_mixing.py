"""Conditioning augmentation: the diffusion is trained on mixtures of two labels' text states too."""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.microbatch import MicroBatch

MIN_LABEL_WEIGHT = 0.4
"""Least weight of the right label in a mixture: with less, another one would be restored."""


def mix_label_embeddings(texts: Tensor, labels: Tensor, micro: MicroBatch, fraction: float) -> Tensor:
    """Return the text states [B, 77, D] of labels [B], a fraction of them mixed with any other label's.

    The official training conditions on the label alone; sampling is conditioned on the assessment's blend (paper
    section 3.2), which asks a diffusion that never saw one for half a restoration.

    Args:
        texts: states [L, 77, D] of the label prompts.
        labels: [B] indices.
        micro: draws the mixtures.
        fraction: of the pictures that get one, 0..1.
    """
    weights = MIN_LABEL_WEIGHT + (1 - MIN_LABEL_WEIGHT) * micro.uniform("own part")
    weights = torch.where(micro.uniform("blended") < fraction, weights, 1.0).to(texts).view(-1, 1, 1)
    others = micro.integers("blended with", len(texts)).to(labels.device)
    return weights * texts[labels] + (1 - weights) * texts[others]
