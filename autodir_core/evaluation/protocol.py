"""The protocol: crops of clean photographs, each damaged in every way, assessed and restored automatically."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..degrade import degrade
from ..errors import InputError
from ..labels import CLEAN
from ..model import AutoDIR
from ..records import LoopSettings, SamplerSettings
from ..restore import restore
from .metrics import psnr, ssim


@dataclass(frozen=True)
class Protocol:
    """What is measured; everything random follows from the seed.

    Args:
        crops: square crops per photo.
        size: side of a crop in pixels.
        severity: of the degradations, 0..1; 0.5 is medium.
        steps: of the sampler in every round.
        max_rounds: of the loop.
        seed: of crops, degradations and sampling.
        restore: whether to restore too, or only to assess.
    """

    crops: int = 3
    size: int = 256
    severity: float = 0.5
    steps: int = 20
    max_rounds: int = 7
    seed: int = 2024
    restore: bool = True


@dataclass(frozen=True)
class Case:
    """One crop with one degradation: what was seen and what came of it; PSNR in dB."""

    photo: str
    crop: int
    label: str
    seen: str
    probability: float
    rounds: tuple[str, ...]
    stopped: str
    psnr_before: float
    psnr_after: float
    ssim_before: float
    ssim_after: float


def evaluate(
    model: AutoDIR,
    photos: Mapping[str, Tensor],
    protocol: Protocol,
    *,
    on_case: Callable[[Case, Tensor, Tensor, Tensor], object] | None = None,
) -> list[Case]:
    """Measure a model on clean photos.

    Args:
        model: from `load_autodir`.
        photos: [1, H, W, 3] in 0..1 by name, at least as large as a crop.
        protocol: what to do with them.
        on_case: called with the case and the clean, the degraded and the restored crop.
    """
    results = []
    for name, number, clean in crops(photos, protocol):
        for label in model.labels:
            degraded = damaged(clean, label, f"{name} {number}", protocol)
            case, restored = measure(model, clean, degraded, protocol, name=name, number=number, label=label)
            results.append(case)
            if on_case:
                on_case(case, clean, degraded, restored)
    return results


def crops(photos: Mapping[str, Tensor], protocol: Protocol) -> Iterator[tuple[str, int, Tensor]]:
    """(photo, number, crop [1, S, S, 3]), the places drawn from the photo's name and the seed."""
    for name, photo in photos.items():
        _, height, width, _ = photo.shape
        if min(height, width) < protocol.size:
            raise InputError(f"photo {name} is {width}x{height}; crops of {protocol.size} pixels need larger ones")
        rng = np.random.default_rng([protocol.seed, zlib.crc32(name.encode())])
        for number in range(protocol.crops):
            top = int(rng.integers(height - protocol.size + 1))
            left = int(rng.integers(width - protocol.size + 1))
            yield name, number, photo[:, top : top + protocol.size, left : left + protocol.size]


def damaged(clean: Tensor, label: str, name: str, protocol: Protocol) -> Tensor:
    """The crop with one degradation; itself for "no"."""
    if label == CLEAN:
        return clean
    seed = zlib.crc32(f"{protocol.seed} {name} {label}".encode()) % 2**31
    return degrade(clean, label, severity=protocol.severity, seed=seed)


def measure(
    model: AutoDIR, clean: Tensor, degraded: Tensor, protocol: Protocol, *, name: str, number: int, label: str
) -> tuple[Case, Tensor]:
    """Assess and restore one crop."""
    first = model.assess(degraded)
    restored, rounds, stopped = degraded, (), ""
    if protocol.restore:
        done = restore(
            model,
            degraded,
            LoopSettings(max_rounds=protocol.max_rounds),
            SamplerSettings(steps=protocol.steps),
            seed=protocol.seed,
        )
        restored, stopped = done.image, done.stopped[0]
        rounds = tuple(str(each.label) for each in done.rounds)
    case = Case(
        photo=name,
        crop=number,
        label=label,
        seen=first.top[0],
        probability=first.probabilities.max().item(),
        rounds=rounds,
        stopped=stopped,
        psnr_before=psnr(degraded, clean),
        psnr_after=psnr(restored, clean),
        ssim_before=ssim(degraded, clean),
        ssim_after=ssim(restored, clean),
    )
    return case, restored
