"""What the diffusion is told in training: a label's prompt or, as by an assessment that is not sure, a blend of two."""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.microbatch import MicroBatch

LEAST = 0.4
"""How much the true label counts at least in a blend: less, and another one would be restored."""


def told(texts: Tensor, labels: Tensor, micro: MicroBatch, share: float) -> Tensor:
    """The text states [B, 77, D] of the labels [B], a share of them blended with any other label's.

    The official training tells the label alone; sampling then is told the assessment's blend (paper section 3.2), which
    asks a diffusion that never saw one for half a restoration.
    """
    own = torch.where(micro.uniform("blended") < share, LEAST + (1 - LEAST) * micro.uniform("own part"), 1.0)
    own = own.to(texts).view(-1, 1, 1)
    others = micro.integers("blended with", len(texts)).to(labels.device)
    return own * texts[labels] + (1 - own) * texts[others]
