"""The dataset of training pairs, its micro-batches and its loader.

Every random draw depends on the seed, the step, the picture's index and a purpose alone, whoever draws it.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby, tee
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from autodir_core.errors import InputError
from autodir_core.labels import CLEAN, LABELS

from .crops import CropConfig
from .sources import TrainingData

Item = TypeVar("Item")


@dataclass(frozen=True)
class MicroBatch:
    """Pictures of one step's batch that go through the network together.

    However gradient accumulation and processes split a batch, picture 7 of step 30 is the same. The purposes that the
    draws are named by are part of the seed: whoever renames one changes every training.

    Args:
        seed: of the training.
        step: index of the optimizer step, from 0.
        indices: of these pictures within the batch.
        batch_size: pictures of the whole batch.
        drawn_step: the step whose pictures these are, where an earlier one drew them; None is `step`. Whatever else is
            drawn, noise or the patches that are seen, is of `step`.
    """

    seed: int
    step: int
    indices: tuple[int, ...]
    batch_size: int
    drawn_step: int | None = None

    @property
    def pictures(self) -> MicroBatch:
        """The micro-batch that drew these pictures."""
        return self if self.drawn_step is None else replace(self, step=self.drawn_step, drawn_step=None)

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


def split_batch(seed: int, step: int, batch_size: int, count: int, *, repeats: int = 1) -> list[MicroBatch]:
    """Split a batch into `count` micro-batches of nearly equal size; its pictures serve `repeats` steps in a row."""
    parts = np.array_split(np.arange(batch_size), count)
    drawn_step = step - step % repeats if step % repeats else None
    return [MicroBatch(seed, step, tuple(part.tolist()), batch_size, drawn_step) for part in parts]


@dataclass(frozen=True)
class Batch:
    """Pairs of training pictures.

    Attributes:
        clean: [B, S, S, 3], 0..1.
        degraded: [B, S, S, 3], equal to `clean` where the label is "no".
        labels: [B] indices into the labels of the data.
    """

    clean: Tensor
    degraded: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(self.clean.to(device), self.degraded.to(device), self.labels.to(device))


@contextmanager
def single_threaded() -> Iterator[None]:
    """Run torch on one thread: the last bits of a sum over pixels depend on how many share it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class PairDataset(Dataset[Batch]):
    """Map-style dataset of training pairs whose keys are micro-batches.

    Args:
        data: sources of the pictures and labels of the model.
        crops: how crops are drawn. `class_weights` and `max_downscale` may name official labels that the model lacks,
            so that one recipe serves models of different labels; InputError for any other name.
    """

    def __init__(self, data: TrainingData, crops: CropConfig) -> None:
        self.data, self.crops = data, crops
        self.fractions = {CLEAN: crops.clean_fraction}
        if data.new_label:
            self.fractions[data.new_label] = crops.new_label_fraction
        self.weighted = [label for label in data.labels if label not in self.fractions]
        absent = [label for label in LABELS if label not in data.labels]
        check_labels("class_weights", crops.class_weights, [*self.weighted, *absent])
        check_labels("max_downscale", crops.max_downscale, [*data.labels, *absent])

    def draw_labels(self, micro: MicroBatch) -> list[str]:
        """Return the labels of the whole batch that a micro-batch belongs to."""
        rng = micro.pictures.step_rng("labels")
        lots = rng.random(micro.batch_size)
        weighted = rng.choice(len(self.weighted), size=micro.batch_size, p=self.class_probabilities())
        fixed = [*self.fractions, ""]
        chosen = np.searchsorted(np.cumsum(list(self.fractions.values())), lots, side="right")
        return [fixed[i] or self.weighted[j] for i, j in zip(chosen, weighted, strict=True)]

    def class_probabilities(self) -> np.ndarray | None:
        """Return the probability of each weighted label, None where all have the same."""
        if not self.crops.class_weights:
            return None
        weights = np.array([self.crops.class_weights.get(label, 1.0) for label in self.weighted])
        return weights / weights.sum()

    @single_threaded()
    def __getitem__(self, micro: MicroBatch) -> Batch:
        names = self.draw_labels(micro)
        labels = [names[index] for index in micro.indices]
        pairs = [
            self.data.draw_pair(label, self.crops, rng)
            for label, rng in zip(labels, micro.pictures.rngs("picture"), strict=True)
        ]
        return stack_pairs(pairs, [self.data.labels.index(label) for label in labels])


def stack_pairs(pairs: Sequence[tuple[Tensor, Tensor]], labels: Sequence[int]) -> Batch:
    """Return pairs of a clean and a degraded crop [S, S, 3], and the indices of their labels, as a batch."""
    clean, degraded = (torch.stack(crops) for crops in zip(*pairs, strict=True))
    return Batch(clean, degraded, torch.tensor(labels))


def check_labels(key: str, named: Iterable[str], labels: Sequence[str]) -> None:
    """Raise InputError where a setting names what is none of the labels."""
    for name in named:
        if name not in labels:
            raise InputError(f"`{key}` names {name!r}; the labels that it can name are: {', '.join(labels)}")


def load_batches(
    dataset: Dataset[Item], micro_batches: Iterable[MicroBatch], *, num_workers: int = 0
) -> Generator[tuple[MicroBatch, Item], None, None]:
    """Yield every micro-batch with its item of the dataset, drawn ahead by worker processes, and once for all repeats.

    Args:
        dataset: map-style, its keys are micro-batches; workers get it pickled where processes are spawned.
        micro_batches: in the order of the training.
        num_workers: processes that draw; 0 draws in this one, when the item is asked for.

    Close the generator to end the workers early.
    """
    ahead, micro_batches = tee(micro_batches)
    # the loader seeds the workers' global generators, which nothing here uses, from the one that it is given
    loader = DataLoader(
        dataset, None, sampler=_drop_repeats(ahead), num_workers=num_workers, generator=torch.Generator()
    )
    yield from _repeat_items(micro_batches, iter(loader))


def _repeat_items(
    micro_batches: Iterable[MicroBatch], items: Iterator[Item]
) -> Generator[tuple[MicroBatch, Item], None, None]:
    """Yield every micro-batch with its item, of items that were drawn once for all repeats."""
    for _, repeated in groupby(micro_batches, key=lambda micro: micro.pictures.step):
        drawn: dict[MicroBatch, Item] = {}
        for micro in repeated:
            if micro.pictures not in drawn:
                drawn[micro.pictures] = next(items)
            yield micro, drawn[micro.pictures]


def _drop_repeats(micro_batches: Iterable[MicroBatch]) -> Iterator[MicroBatch]:
    """Yield the micro-batches that draw the pictures of all, each once."""
    for _, repeated in groupby((micro.pictures for micro in micro_batches), key=lambda micro: micro.step):
        yield from dict.fromkeys(repeated)
