"""What is random in a step: every draw depends on the seed, the step and the picture's number, and on nothing else."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Piece:
    """The pictures of one step's batch that are worked on at once.

    Accumulation and several processes cut a batch into pieces; whatever the cut, picture 7 of step 30 is the same.

    Args:
        seed: of the training.
        step: number of the optimiser step, from 0.
        numbers: which pictures of the batch these are.
        total: pictures of the whole batch.
    """

    seed: int
    step: int
    numbers: tuple[int, ...]
    total: int

    @property
    def share(self) -> float:
        """This piece's part of the batch: what its mean loss counts in the batch's."""
        return len(self.numbers) / self.total

    def step_rng(self, purpose: str) -> np.random.Generator:
        """For what is decided once per step, the same in every piece of it."""
        return np.random.default_rng([self.seed, self.step, zlib.crc32(purpose.encode())])

    def rngs(self, purpose: str) -> list[np.random.Generator]:
        """One generator per picture of the piece."""
        key = zlib.crc32(purpose.encode())
        return [np.random.default_rng([self.seed, self.step, key, 1 + number]) for number in self.numbers]

    def uniform(self, purpose: str) -> Tensor:
        """A number in 0..1 per picture, float32 [n]."""
        return torch.tensor([rng.random() for rng in self.rngs(purpose)], dtype=torch.float32)

    def integers(self, purpose: str, end: int) -> Tensor:
        """A whole number below `end` per picture, int64 [n]."""
        return torch.tensor([int(rng.integers(end)) for rng in self.rngs(purpose)])

    def noise(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        """Normal noise of unit variance, float32 [n, *shape] on the CPU: the same on every device."""
        drawn = [rng.standard_normal(shape, dtype=np.float32) for rng in self.rngs(purpose)]
        return torch.from_numpy(np.stack(drawn))


def whole(seed: int, total: int, *, step: int = 0) -> Piece:
    """All pictures of a batch at once."""
    return Piece(seed, step, tuple(range(total)), total)


def cut(seed: int, step: int, total: int, pieces: int) -> list[Piece]:
    """A batch cut into pieces of nearly equal size."""
    return [
        Piece(seed, step, tuple(int(number) for number in numbers), total)
        for numbers in np.array_split(np.arange(total), pieces)
    ]
