"""The door of this package: one degradation, or several in the order in which a picture is formed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..errors import InputError
from ..labels import CLEAN, EXTRA, LABELS
from .compression import jpeg
from .draws import Draw
from .optics import blur
from .raindrops import raindrop
from .resolution import low_resolution
from .sensor import noise, underexposure
from .weather import haze, rain

DEGRADATIONS = tuple(label for label in LABELS if label != CLEAN)
"""The labels that can be applied, in the order of `LABELS`."""

FORMATION_ORDER = ("haze", "rain", "raindrop", "blur", "underexposure", "noise", "low resolution", "jpeg artifact")
"""From the scene over the lens and the sensor to the output; all that can be applied."""

SMALLEST_SIDE = 8

_APPLY = {
    "noise": noise,
    "blur": blur,
    "rain": rain,
    "underexposure": underexposure,
    "low resolution": low_resolution,
    "raindrop": raindrop,
    "jpeg artifact": jpeg,
}


def degrade(
    images: Tensor,
    label: str,
    *,
    severity: float | Sequence[float] = 0.5,
    seed: int | Sequence[int] = 0,
    depth: Tensor | None = None,
) -> Tensor:
    """Apply one degradation: [B, H, W, 3] float32 in 0..1, back in the same shape, on the same device.

    severity: one number or B numbers from 0 (barely visible) over 0.5 (medium) to 1 (severe).
    seed: picture i uses seed + i and gives what it gives alone; B numbers give each picture its own.
    depth: [B, H, W] from 0 (near) to 1 (far), used by "haze"; None draws a plausible one.
    Raises InputError for an unknown label or arguments that do not fit the pictures.
    """
    return compose(images, [label], severity=severity, seed=seed, depth=depth)


@torch.no_grad()
def compose(
    images: Tensor,
    labels: Sequence[str],
    *,
    severity: float | Sequence[float] = 0.5,
    seed: int | Sequence[int] = 0,
    depth: Tensor | None = None,
) -> Tensor:
    """Apply several degradations, each once, in the order of image formation whatever the order given.

    Arguments, result and errors are those of `degrade`; each label draws as it would alone.
    """
    _check_images(images, depth)
    wanted = _check_labels(labels)
    severities = _check_severity(severity, images.shape[0])
    seeds = _check_seed(seed, images.shape[0])
    results = images.float().clamp(0.0, 1.0).movedim(-1, 1)
    depths = [None] * len(seeds) if depth is None else list(depth.to(results))
    done = [
        _degrade_one(image, wanted, severity=severities[i], seed=seeds[i], depth=depths[i])
        for i, image in enumerate(results)
    ]
    return torch.stack(done).movedim(1, -1).contiguous()


def _degrade_one(image: Tensor, labels: Sequence[str], *, severity: float, seed: int, depth: Tensor | None) -> Tensor:
    """One picture [3, H, W] through all of `labels`."""
    for label in labels:
        draw = Draw(seed, label)
        if label == "haze":
            image = haze(image, draw, severity=severity, depth=depth)
        else:
            image = _APPLY[label](image, draw, severity=severity)
        image = image.clamp(0.0, 1.0)
    return image


def _check_images(images: Tensor, depth: Tensor | None) -> None:
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[0] == 0 or shape[-1] != 3 or min(shape[1:3]) < SMALLEST_SIDE:
        raise InputError(f"images must be [B, H, W, 3] of at least {SMALLEST_SIDE} pixels a side, got {list(shape)}")
    if not images.is_floating_point():
        raise InputError(f"images must be floating point in 0..1, got {images.dtype}; divide bytes by 255")
    if depth is not None:
        _check_depth(depth, shape[:3])


def _check_depth(depth: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(depth.shape) != shape:
        raise InputError(f"depth must be {list(shape)} like the images, got {list(depth.shape)}")
    nearest, farthest = depth.min().item(), depth.max().item()
    if not (nearest >= 0.0 and farthest <= 1.0):
        raise InputError(f"depth must run from 0 (near) to 1 (far), got {nearest:g} to {farthest:g}; rescale it")


def _check_labels(labels: Sequence[str]) -> list[str]:
    """`labels` in the order of image formation."""
    if isinstance(labels, str):
        raise InputError(f"labels must be a list, got the text {labels!r}; write [{labels!r}]")
    for label in labels:
        if label not in FORMATION_ORDER:
            raise InputError(f"{label!r} is not a degradation; known: {', '.join(DEGRADATIONS + EXTRA)}")
    return sorted(set(labels), key=FORMATION_ORDER.index)


def _check_severity(severity: float | Sequence[float], count: int) -> list[float]:
    values = [float(value) for value in severity] if isinstance(severity, Iterable) else [float(severity)] * count
    if len(values) != count:
        raise InputError(f"severity must be one number or {count}, one per picture; got {len(values)}")
    for value in values:
        if not 0.0 <= value <= 1.0:
            raise InputError(f"severity must lie in 0 (barely visible) .. 1 (severe), got {value}")
    return values


def _check_seed(seed: int | Sequence[int], count: int) -> list[int]:
    seeds = [int(value) for value in seed] if isinstance(seed, Iterable) else [int(seed) + i for i in range(count)]
    if len(seeds) != count:
        raise InputError(f"seed must be one number or {count}, one per picture; got {len(seeds)}")
    return seeds
