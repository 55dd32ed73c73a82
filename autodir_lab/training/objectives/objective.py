"""What a network is trained for: a dataset, and the losses on its batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..data.dataset import Batch, PairDataset
from ..data.microbatch import MicroBatch

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Objective:
    """What a network is trained for.

    Attributes:
        dataset: gives the pictures of a micro-batch.
        losses: weighted losses of a micro-batch and its pictures, in proportion to its part of the batch: those of all
            micro-batches of a step add up to the mean over the batch, which is minimised in sum.
    """

    dataset: PairDataset
    losses: Callable[[MicroBatch, Batch], Losses]

    def __call__(self, micro: MicroBatch) -> Losses:
        """Return the losses of a micro-batch whose pictures are drawn here and now."""
        return self.losses(micro, self.dataset[micro])
