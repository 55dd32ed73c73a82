"""The evaluation protocol: crops of clean photographs, each degraded in every way."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from torch import Tensor

from autodir_core.choices import CROPS, DEGRADATIONS, ORDERS, STANDARD
from autodir_core.errors import InputError
from autodir_core.labels import CLEAN

from .degraders import apply_kinds, draw_kinds

CROP_SIZE = 256
"""Default side in pixels of the crops of clean photos."""

ODD_NAMES = "surrogateescape"
"""How names of files that are no UTF-8 become bytes again."""

SEPARATOR = " + "
"""Between the labels of a mixture."""


@dataclass(frozen=True)
class Protocol:
    """What is measured; everything random follows from the seed.

    Args:
        crops: square crops per clean photo.
        size: side of a crop in pixels; None takes pairs and unpaired photos whole.
        degrader: of clean photos, one of `choices.DEGRADERS`.
        severity: of the degradations, 0..1; 0.5 is medium; a pair (low, high) draws one for every sample.
        steps: of the sampler in every round.
        max_rounds: of the loop.
        assess_crops: the crops that an assessment looks at, one of `choices.CROPS`.
        min_confidence: how probable a degradation must be to be restored, 0..1.
        seed: of crops, degradations and sampling.
        restore: whether to restore too, or only to assess.
        gate: whether the quality gate judges each round.
        order: one of `choices.ORDERS`, which of several probable degradations is restored first.
        mixtures: whether clean photos get every pair of degradations too.
        baselines: whether classical methods are measured too.
        luma: whether PSNR and SSIM are those of the luminance (ITU-R BT.601) instead of all color channels.
    """

    crops: int = 3
    size: int | None = CROP_SIZE
    degrader: str = STANDARD
    severity: float | tuple[float, float] = 0.5
    steps: int = 20
    max_rounds: int = 7
    assess_crops: str = CROPS.default
    min_confidence: float = 0.0
    seed: int = 2024
    restore: bool = True
    gate: bool = False
    order: str = ORDERS.default
    mixtures: bool = False
    baselines: bool = False
    luma: bool = False

    @property
    def severity_range(self) -> tuple[float, float]:
        """The lowest and the highest severity."""
        return self.severity if isinstance(self.severity, tuple) else (self.severity, self.severity)


def random_crops(photos: Mapping[str, Tensor], protocol: Protocol) -> Iterator[tuple[str, int, Tensor]]:
    """Yield (photo, crop number, crop [1, S, S, 3]); positions depend on the photo's name and the seed alone.

    Raises InputError for a photo smaller than a crop.
    """
    side = protocol.size or CROP_SIZE
    for name, photo in photos.items():
        _, height, width, _ = photo.shape
        if min(height, width) < side:
            raise InputError(f"photo {name} is {width}x{height}; crops of {side} pixels need larger ones")
        rng = np.random.default_rng([protocol.seed, zlib.crc32(name.encode("utf-8", ODD_NAMES))])
        for number in range(protocol.crops):
            top = int(rng.integers(height - side + 1))
            left = int(rng.integers(width - side + 1))
            yield name, number, photo[:, top : top + side, left : left + side]


def label_pairs(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Return every pair of the degradations among `labels`, each in the order of image formation."""
    return list(combinations([label for label in DEGRADATIONS if label in labels], 2))


def degrade_crop(clean: Tensor, label: str, name: str, protocol: Protocol) -> Tensor:
    """Degrade a crop by a label, or by several joined with `SEPARATOR`; "no" returns it unchanged."""
    if label == CLEAN:
        return clean
    labels, kinds = label.split(SEPARATOR), draw_sample_kinds(label, name, protocol)
    severity, seed = draw_severity(label, name, protocol), sample_seed(label, name, protocol)
    return apply_kinds(protocol.degrader, clean, labels, kinds, severity=severity, seed=seed)


def draw_sample_kinds(label: str, name: str, protocol: Protocol) -> tuple[str, ...]:
    """Return the kind of each label of one sample; none for "no"."""
    labels = () if label == CLEAN else label.split(SEPARATOR)
    return draw_kinds(protocol.degrader, labels, sample_seed(label, name, protocol))


def sample_seed(label: str, name: str, protocol: Protocol) -> int:
    """Return the seed of one sample's degradations."""
    return zlib.crc32(f"{protocol.seed} {name} {label}".encode("utf-8", ODD_NAMES)) % 2**31


def draw_severity(label: str, name: str, protocol: Protocol) -> float:
    """Draw the severity of one sample, the same for the same seed, crop and label."""
    low, high = protocol.severity_range
    rng = np.random.default_rng([protocol.seed, zlib.crc32(f"severity {name} {label}".encode("utf-8", ODD_NAMES))])
    return low + (high - low) * rng.random()
