"""Training data: crops of pictures from several sources, degraded on the fly or given as pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from autodir_core.degrade import degrade
from autodir_core.errors import InputError
from autodir_core.imaging.filters import resize
from autodir_core.imaging.layout import from_uint8
from autodir_core.labels import CLEAN, LABELS

from .augment import PLAIN, Variety, varied
from .microbatch import MicroBatch
from .prepare_data import TILE

Degradation = Callable[[Tensor, float, int], Tensor]
"""(crop [S, S, 4] of colour and depth, severity 0..1, seed) -> degraded colours [S, S, 3], all in 0..1."""


def synthetic(label: str, crop: Tensor, severity: float, seed: int) -> Tensor:
    """One of the built-in degradations of a crop [S, S, 4]; in 7 of 10 crops haze follows their depth."""
    depth = crop[None, ..., 3] if np.random.default_rng(seed).random() < 0.7 else None
    return degrade(crop[None, ..., :3], label, severity=severity, seed=seed, depth=depth)[0]


SYNTHETIC: Mapping[str, Degradation] = {label: partial(synthetic, label) for label in LABELS if label != CLEAN}
"""The degradations of the official labels."""


@dataclass(frozen=True)
class Batch:
    """Pairs for training.

    Attributes:
        clean: [B, S, S, 3], 0..1.
        degraded: [B, S, S, 3], equal to `clean` where the label is "no".
        labels: [B] indices into the labels of the data.
    """

    clean: Tensor
    degraded: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(self.clean.to(device), self.degraded.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Crops:
    """How crops are drawn.

    Args:
        size: side of the square crops in pixels, 512 at most.
        clean_share: share of crops that are left as they are, under the label "no".
        new_share: share of crops under the label that is being taught; the others share what is left.
        often: how often labels are drawn that share what is left, 1 for those it does not name.
        reduced: by how much crops of a label may be reduced, 1 or more. A reduced crop shows more of its scene, which
            haze asks for: what is far, what is sky, what is dark. Labels it does not name are reduced by up to 2 in a
            third of the cases.
        mildest: lowest severity of the degradations that are made.
        variety: shares of clean crops that are made to look like photographs.
    """

    size: int
    clean_share: float
    new_share: float = 0.0
    often: Mapping[str, float] = field(default_factory=dict)
    reduced: Mapping[str, float] = field(default_factory=dict)
    mildest: float = 0.1
    variety: Variety = PLAIN

    def __post_init__(self) -> None:
        if not 8 <= self.size <= TILE:
            raise InputError(f"crops need 8 to {TILE} pixels a side, got {self.size}")
        if any(times <= 0 for times in self.often.values()):
            raise InputError(f"every number of `often` must be above 0, got {dict(self.often)}")
        if any(most < 1 for most in self.reduced.values()):
            raise InputError(f"every number of `reduced` must be 1 or more, got {dict(self.reduced)}")


class Source(Protocol):
    """Gives pairs of some labels."""

    @property
    def share(self) -> float:
        """How often it is asked, in proportion to the other sources that know the label."""
        ...

    def offers(self, label: str) -> bool: ...

    def draw(self, label: str, crops: Crops, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A clean crop [S, S, 3] and its degraded version."""
        ...


@dataclass(frozen=True)
class CleanSource:
    """Clean pictures uint8 [N, 512, 512, 4] (colour, depth), degraded on the fly."""

    pictures: np.ndarray
    share: float = 1.0
    degradations: Mapping[str, Degradation] = field(default_factory=lambda: SYNTHETIC)

    def offers(self, label: str) -> bool:
        return label == CLEAN or label in self.degradations

    def draw(self, label: str, crops: Crops, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        another = partial(random_crop, self.pictures, crops.size, rng, crops.reduced.get(label))
        crop = varied(another(), another, rng, crops.variety)
        clean = crop[..., :3]
        if label == CLEAN:
            return clean, clean
        severity, seed = float(rng.uniform(crops.mildest, 1)), int(rng.integers(2**31))
        return clean, self.degradations[label](crop, severity, seed)


@dataclass(frozen=True)
class PairSource:
    """Real pairs by label, uint8 [N, 512, 512, 6] (degraded, clean); they are cropped and turned, not changed."""

    pairs: Mapping[str, np.ndarray]
    share: float = 1.0

    def offers(self, label: str) -> bool:
        return label == CLEAN or label in self.pairs

    def draw(self, label: str, crops: Crops, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        owner = str(rng.choice(sorted(self.pairs))) if label == CLEAN else label
        both = turned(window(self.pairs[owner], crops.size, rng), rng)
        clean = both[..., 3:]
        return clean, clean if label == CLEAN else both[..., :3]


@dataclass(frozen=True)
class Data:
    """Where the pictures of a training come from.

    Args:
        labels: the model's, in its order; "no" is among them.
        sources: together they offer every label.
        new: the label that is being taught, "" for none.

    Raises InputError where a label has no source.
    """

    labels: tuple[str, ...]
    sources: tuple[Source, ...]
    new: str = ""

    def __post_init__(self) -> None:
        if CLEAN not in self.labels:
            raise InputError(f"training needs the label {CLEAN!r} for clean pictures, got: {', '.join(self.labels)}")
        for label in self.labels:
            if not self.offering(label):
                raise InputError(f"nothing shows {label!r}: give a folder of pairs for it, or a degradation")

    def offering(self, label: str) -> list[Source]:
        return [source for source in self.sources if source.share > 0 and source.offers(label)]


def synthetic_data(pictures: np.ndarray, labels: Sequence[str] = LABELS) -> Data:
    """Clean pictures uint8 [N, 512, 512, 4] under the built-in degradations."""
    return Data(tuple(labels), (CleanSource(pictures),))


def draw_batch(data: Data, micro: MicroBatch, crops: Crops) -> Batch:
    """The pairs of one micro-batch of a batch, each from its own generator."""
    names = draw_labels(data, micro, crops)
    labels = [names[number] for number in micro.indices]
    pairs = [draw_pair(data, label, crops, rng) for label, rng in zip(labels, micro.rngs("picture"), strict=True)]
    clean, degraded = (torch.stack(pictures) for pictures in zip(*pairs, strict=True))
    return Batch(clean, degraded, torch.tensor([data.labels.index(label) for label in labels]))


def draw_labels(data: Data, micro: MicroBatch, crops: Crops) -> list[str]:
    """Labels of the whole batch: "no" and a label being taught with their shares, the others as `often` has it.

    `often` and `reduced` may name official labels that the model lacks: one recipe serves models of different labels.
    """
    rng = micro.step_rng("labels")
    shares = {CLEAN: crops.clean_share, **({data.new: crops.new_share} if data.new else {})}
    others = [label for label in data.labels if label not in shares]
    lots = rng.random(micro.batch_size)
    lacking = [label for label in LABELS if label not in data.labels]
    check_names("often", crops.often, [*others, *lacking])
    check_names("reduced", crops.reduced, [*data.labels, *lacking])
    drawn = rng.choice(len(others), size=micro.batch_size, p=chances(others, crops.often))
    bounds = np.cumsum(list(shares.values()))
    named = [*shares, ""]
    fixed = [named[int(np.searchsorted(bounds, lot, side="right"))] for lot in lots]
    return [label or others[i] for label, i in zip(fixed, drawn, strict=True)]


def check_names(key: str, named: Mapping[str, float], labels: Sequence[str]) -> None:
    """Raises InputError for a name that is none of the labels."""
    for name in named:
        if name not in labels:
            raise InputError(f"`{key}` names {name!r}; the labels that it can name are: {', '.join(labels)}")


def chances(labels: Sequence[str], often: Mapping[str, float]) -> np.ndarray | None:
    """How probable each label is, [L]; None where all are drawn equally often."""
    if not often:
        return None
    times = np.array([often.get(label, 1.0) for label in labels])
    return times / times.sum()


def draw_pair(data: Data, label: str, crops: Crops, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A clean crop and its degraded version, from one of the sources that offer the label."""
    sources = data.offering(label)
    shares = np.array([source.share for source in sources])
    source = sources[int(rng.choice(len(sources), p=shares / shares.sum()))]
    return source.draw(label, crops, rng)


def random_crop(pictures: np.ndarray, size: int, rng: np.random.Generator, most: float | None = None) -> Tensor:
    """A crop float32 [size, size, 4]: reduced by 1 to `most`, flipped, turned, its colours jittered.

    Without `most` a third of the crops is reduced, by 1 to 2.
    """
    factor = rng.choice([1.0, 1.0, rng.uniform(1, 2)]) if most is None else rng.uniform(1, most)
    side = min(int(size * factor), TILE)
    crop = window(pictures, side, rng)
    if side != size:
        crop = resize(crop[None], size, size)[0]
    return jittered(turned(crop, rng).clamp(0, 1), rng)


def window(pictures: np.ndarray, side: int, rng: np.random.Generator) -> Tensor:
    """A random square float32 [side, side, C] in 0..1 of a random picture."""
    picture = pictures[rng.integers(len(pictures))]
    top, left = rng.integers(0, TILE - side + 1, 2)
    return from_uint8(picture[top : top + side, left : left + side])


def turned(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirrored in half of the cases, transposed in a quarter."""
    if rng.random() < 0.5:
        crop = crop.flip(1)
    return crop.transpose(0, 1) if rng.random() < 0.25 else crop


def jittered(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop with another white balance, contrast and brightness; the depth in the last channel stays."""
    balance = torch.from_numpy(rng.uniform(0.9, 1.1, 3).astype(np.float32))
    gamma = float(np.exp(rng.normal(0, 0.15)))
    colour = (crop[..., :3] * balance).clamp(0, 1) ** gamma
    return torch.cat([colour, crop[..., 3:]], dim=-1)
