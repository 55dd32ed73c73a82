"""The protocol: crops of clean photographs, each damaged in every way."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from torch import Tensor

from autodir_core.choices import CROPS
from autodir_core.degrade import compose
from autodir_core.degrade.apply import FORMATION_ORDER
from autodir_core.errors import InputError
from autodir_core.labels import CLEAN

from .sample_result import JOIN

SIZE = 256
"""Side in pixels of the crops of clean photos."""


@dataclass(frozen=True)
class Protocol:
    """What is measured; everything random follows from the seed.

    Args:
        crops: square crops per clean photo.
        size: side of a crop in pixels; None takes pairs and photos without a truth whole.
        severity: of the degradations, 0..1; 0.5 is medium; a pair (low, high) draws one for every case.
        steps: of the sampler in every round.
        max_rounds: of the loop.
        view: what part of a picture is assessed, one of `choices.CROPS`.
        threshold: how probable a degradation must be to be restored, 0..1.
        seed: of crops, degradations and sampling.
        restore: whether to restore too, or only to assess.
        mixtures: whether clean photos get every pair of degradations too.
        baselines: whether classical methods are measured beside the model.
        luma: whether PSNR and SSIM are those of the luminance (ITU-R BT.601) instead of all colours.
    """

    crops: int = 3
    size: int | None = SIZE
    severity: float | tuple[float, float] = 0.5
    steps: int = 20
    max_rounds: int = 7
    view: str = CROPS.default
    threshold: float = 0.0
    seed: int = 2024
    restore: bool = True
    mixtures: bool = False
    baselines: bool = False
    luma: bool = False

    @property
    def severities(self) -> tuple[float, float]:
        """The lowest and the highest severity."""
        return self.severity if isinstance(self.severity, tuple) else (self.severity, self.severity)


def crops(photos: Mapping[str, Tensor], protocol: Protocol) -> Iterator[tuple[str, int, Tensor]]:
    """(photo, number, crop [1, S, S, 3]), the places drawn from the photo's name and the seed.

    Raises InputError for a photo smaller than a crop.
    """
    side = protocol.size or SIZE
    for name, photo in photos.items():
        _, height, width, _ = photo.shape
        if min(height, width) < side:
            raise InputError(f"photo {name} is {width}x{height}; crops of {side} pixels need larger ones")
        rng = np.random.default_rng([protocol.seed, zlib.crc32(name.encode())])
        for number in range(protocol.crops):
            top = int(rng.integers(height - side + 1))
            left = int(rng.integers(width - side + 1))
            yield name, number, photo[:, top : top + side, left : left + side]


def mixtures(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Every pair of the degradations among `labels`, each in the order in which a picture is formed."""
    return list(combinations([label for label in FORMATION_ORDER if label in labels], 2))


def damaged(clean: Tensor, label: str, name: str, protocol: Protocol) -> Tensor:
    """The crop with one degradation or, with " + " between their names, several; itself for "no"."""
    if label == CLEAN:
        return clean
    seed = zlib.crc32(f"{protocol.seed} {name} {label}".encode()) % 2**31
    return compose(clean, label.split(JOIN), severity=drawn_severity(label, name, protocol), seed=seed)


def drawn_severity(label: str, name: str, protocol: Protocol) -> float:
    """The severity of one case, the same for the same seed, crop and label."""
    low, high = protocol.severities
    rng = np.random.default_rng([protocol.seed, zlib.crc32(f"severity {name} {label}".encode())])
    return low + (high - low) * rng.random()
