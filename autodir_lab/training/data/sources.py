"""Sources of training pairs: clean pictures that are degraded on the fly, and measured pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from torch import Tensor

from autodir_core.errors import InputError
from autodir_core.labels import CLEAN, LABELS

from .augment import augment
from .crops import CropConfig, random_crop, random_flip, random_window
from .prepare_data import Tiles
from .synthetic import SYNTHETIC, Degradation, draw_synthetic_pair


class Source(Protocol):
    """Gives training pairs of some labels."""

    @property
    def weight(self) -> float:
        """How often it is drawn from, relative to the other sources that offer the label."""
        ...

    def offers(self, label: str) -> bool:
        """Return whether it has pairs of the label."""
        ...

    def draw(self, label: str, config: CropConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return a clean crop [S, S, 3] and its degraded version, both in 0..1."""
        ...


@dataclass(frozen=True)
class CleanSource:
    """Clean tiles uint8 [N, 512, 512, 4] (color, depth), degraded on the fly."""

    tiles: Tiles
    weight: float = 1.0
    degradations: Mapping[str, Degradation] = field(default_factory=lambda: SYNTHETIC)

    def offers(self, label: str) -> bool:
        return label == CLEAN or label in self.degradations

    def draw(self, label: str, config: CropConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        draw_crop = partial(random_crop, self.tiles, config.size, rng, config.max_downscale.get(label))
        crop = augment(draw_crop(), draw_crop, rng, config.augmentation)
        return draw_synthetic_pair(crop, label, self.degradations, config, rng)


@dataclass(frozen=True)
class PairSource:
    """Measured pairs by label, uint8 [N, 512, 512, 6] (degraded, clean); they are cropped and flipped, not changed."""

    tiles: Mapping[str, Tiles]
    weight: float = 1.0

    def offers(self, label: str) -> bool:
        return label == CLEAN or label in self.tiles

    def draw(self, label: str, config: CropConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        owner = str(rng.choice(sorted(self.tiles))) if label == CLEAN else label
        pair = random_flip(random_window(self.tiles[owner], config.size, rng), rng)
        clean = pair[..., 3:]
        return clean, clean if label == CLEAN else pair[..., :3]


@dataclass(frozen=True)
class TrainingData:
    """The pictures of a training.

    Args:
        labels: the model's, in its order; "no" is among them.
        sources: together they offer every label.
        new_label: the label that is being added to a trained model, "" for none.

    Raises InputError for a label without a source.
    """

    labels: tuple[str, ...]
    sources: tuple[Source, ...]
    new_label: str = ""

    def __post_init__(self) -> None:
        if CLEAN not in self.labels:
            raise InputError(f"training needs the label {CLEAN!r} for clean pictures, got: {', '.join(self.labels)}")
        for label in self.labels:
            if not self.sources_of(label):
                raise InputError(f"no source offers {label!r}: give a folder of pairs for it, or a degradation")

    def sources_of(self, label: str) -> list[Source]:
        """Return the sources that offer a label and have a weight."""
        return [source for source in self.sources if source.weight > 0 and source.offers(label)]

    def draw_pair(self, label: str, config: CropConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return a clean crop [S, S, 3] and its degraded version, from one of the label's sources."""
        sources = self.sources_of(label)
        weights = np.array([source.weight for source in sources])
        source = sources[int(rng.choice(len(sources), p=weights / weights.sum()))]
        return source.draw(label, config, rng)


def synthetic_data(tiles: Tiles, labels: Sequence[str] = LABELS) -> TrainingData:
    """Return clean tiles uint8 [N, 512, 512, 4] under the built-in degradations."""
    return TrainingData(tuple(labels), (CleanSource(tiles),))
