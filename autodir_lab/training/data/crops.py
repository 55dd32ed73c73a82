"""Random crops of training pictures: where they are cut, at which scale, flipped and with jittered colors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from autodir_core.errors import InputError
from autodir_core.imaging.filters import resize
from autodir_core.imaging.layout import from_uint8

from .augment import NO_AUGMENTATION, AugmentationProbs
from .tiles import TILE, Tiles


@dataclass(frozen=True)
class CropConfig:
    """How the crops of a training are drawn.

    Args:
        size: side of the square crops in pixels, 8 to 512.
        clean_fraction: fraction of the crops that are left as they are, under the label "no".
        new_label_fraction: fraction of the crops under a label that is being added; the other labels get the rest.
        class_weights: sampling weights of the other labels, 1 for those it does not name.
        max_downscale: by how much crops of a label may be downscaled, 1 or more. A downscaled crop shows more of its
            scene, which haze asks for: what is far, what is sky, what is dark. A third of the crops of labels that it
            does not name is downscaled, by up to 2.
        min_severity: lowest severity of synthetic degradations, 0..1.
        augmentation: how often clean crops are made to look like photographs.
    """

    size: int
    clean_fraction: float
    new_label_fraction: float = 0.0
    class_weights: Mapping[str, float] = field(default_factory=dict)
    max_downscale: Mapping[str, float] = field(default_factory=dict)
    min_severity: float = 0.1
    augmentation: AugmentationProbs = NO_AUGMENTATION

    def __post_init__(self) -> None:
        if not 8 <= self.size <= TILE:
            raise InputError(f"crops need 8 to {TILE} pixels a side, got {self.size}")
        if any(weight <= 0 for weight in self.class_weights.values()):
            raise InputError(f"every number of `class_weights` must be above 0, got {dict(self.class_weights)}")
        if any(factor < 1 for factor in self.max_downscale.values()):
            raise InputError(f"every number of `max_downscale` must be 1 or more, got {dict(self.max_downscale)}")


def random_crop(tiles: Tiles, size: int, rng: np.random.Generator, max_downscale: float | None = None) -> Tensor:
    """Return a crop float32 [size, size, 4] of a random tile, downscaled by 1 to `max_downscale`, flipped and jittered.

    Without `max_downscale` a third of the crops is downscaled, by 1 to 2.
    """
    factor = rng.choice([1.0, 1.0, rng.uniform(1, 2)]) if max_downscale is None else rng.uniform(1, max_downscale)
    side = min(int(size * factor), TILE)
    crop = random_window(tiles, side, rng)
    if side != size:
        crop = resize(crop[None], size, size)[0]
    return jitter_color(random_flip(crop, rng).clamp(0, 1), rng)


def random_window(tiles: Tiles, side: int, rng: np.random.Generator) -> Tensor:
    """Return a random square float32 [side, side, C], 0..1, of a random tile."""
    tile = tiles[int(rng.integers(len(tiles)))]
    top, left = rng.integers(0, TILE - side + 1, 2)
    return from_uint8(tile[top : top + side, left : left + side])


def random_flip(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror half of the crops [S, S, C] and transpose a quarter."""
    if rng.random() < 0.5:
        crop = crop.flip(1)
    return crop.transpose(0, 1) if rng.random() < 0.25 else crop


def jitter_color(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """Change white balance, contrast and brightness of a crop [S, S, 4]; the depth in its last channel stays."""
    balance = torch.from_numpy(rng.uniform(0.9, 1.1, 3).astype(np.float32))
    gamma = float(np.exp(rng.normal(0, 0.15)))
    color = (crop[..., :3] * balance).clamp(0, 1) ** gamma
    return torch.cat([color, crop[..., 3:]], dim=-1)
