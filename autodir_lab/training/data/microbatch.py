"""Random draws of a training step: each depends on the seed, the step, the picture's index and a purpose, alone."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class MicroBatch:
    """Pictures of one step's batch that go through the network together.

    However gradient accumulation and processes split a batch, picture 7 of step 30 is the same. The purposes that the
    draws are named by are part of the seed: whoever renames one changes every training.

    Args:
        seed: of the training.
        step: index of the optimiser step, from 0.
        indices: of these pictures within the batch.
        batch_size: pictures of the whole batch.
    """

    seed: int
    step: int
    indices: tuple[int, ...]
    batch_size: int

    @property
    def weight(self) -> float:
        """Weight of this micro-batch's mean loss in the mean over the batch."""
        return len(self.indices) / self.batch_size

    def step_rng(self, purpose: str) -> np.random.Generator:
        """Return a generator for what is drawn once per step, alike in all of its micro-batches."""
        return np.random.default_rng([self.seed, self.step, zlib.crc32(purpose.encode())])

    def rngs(self, purpose: str) -> list[np.random.Generator]:
        """Return one generator per picture."""
        key = zlib.crc32(purpose.encode())
        return [np.random.default_rng([self.seed, self.step, key, 1 + index]) for index in self.indices]

    def uniform(self, purpose: str) -> Tensor:
        """Draw a number in 0..1 per picture, float32 [n]."""
        return torch.tensor([rng.random() for rng in self.rngs(purpose)], dtype=torch.float32)

    def integers(self, purpose: str, high: int) -> Tensor:
        """Draw an integer in 0..high - 1 per picture, int64 [n]."""
        return torch.tensor([int(rng.integers(high)) for rng in self.rngs(purpose)])

    def noise(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        """Draw standard normal noise, float32 [n, *shape] on the CPU: the same for every device."""
        drawn = [rng.standard_normal(shape, dtype=np.float32) for rng in self.rngs(purpose)]
        return torch.from_numpy(np.stack(drawn))


def full_batch(seed: int, batch_size: int, *, step: int = 0) -> MicroBatch:
    """Return all pictures of a batch as one micro-batch."""
    return MicroBatch(seed, step, tuple(range(batch_size)), batch_size)


def split_batch(seed: int, step: int, batch_size: int, count: int) -> list[MicroBatch]:
    """Split a batch into `count` micro-batches of nearly equal size."""
    parts = np.array_split(np.arange(batch_size), count)
    return [MicroBatch(seed, step, tuple(part.tolist()), batch_size) for part in parts]
