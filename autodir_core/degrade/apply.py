"""Apply one degradation, or several in the order of image formation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature

import torch
from torch import Tensor

from ..choices import ANY_KIND, DEGRADATIONS, STANDARD, list_kinds
from ..errors import InputError
from ..imaging.layout import check_layout, crop, pad_to_size
from ..imaging.mask import fit_map
from .draws import Draw

MIN_SIDE = 8
"""Pixels a side that every degradation can rely on; smaller pictures are extended by reflection and cropped again."""


def degrade(
    images: Tensor,
    label: str,
    *,
    severity: float | Sequence[float] = 0.5,
    seed: int | Sequence[int] = 0,
    kind: str | None = None,
    depth: Tensor | None = None,
    on_picture: Callable[[int], object] | None = None,
) -> Tensor:
    """Apply one degradation of the table `DEGRADATIONS`.

    Args:
        images: [B, H, W, 3] floating point in 0..1, of any size.
        label: which degradation.
        severity: one number or B numbers, from 0 (barely visible) over 0.5 (medium) to 1 (severe).
        seed: picture i uses seed + i and gives what it gives alone; B numbers give each picture its own.
        kind: one of `list_kinds(label)`; None or "any" draws one for each picture from its seed.
        depth: from 0 (near) to 1 (far), used by most kinds of "haze" and ignored by others: [h, w], [B or 1, h, w] or
            pictures [B or 1, h, w, 3 or 4] of any size, scaled to the images; None draws a plausible one.
        on_picture: called with the number of each picture before it is degraded.

    Returns float32 [B, H, W, 3] in 0..1 on the device of the images. Raises InputError for an unknown label or kind,
    or arguments that do not fit the images.
    """
    return compose(images, [label], severity=severity, seed=seed, kind=kind, depth=depth, on_picture=on_picture)


@torch.no_grad()
def compose(
    images: Tensor,
    labels: Sequence[str],
    *,
    severity: float | Sequence[float] = 0.5,
    seed: int | Sequence[int] = 0,
    kind: str | Sequence[str | None] | None = None,
    depth: Tensor | None = None,
    on_picture: Callable[[int], object] | None = None,
) -> Tensor:
    """Apply several degradations, each once, in the order of image formation whatever the order given.

    Arguments, result and errors are those of `degrade`; each label draws as it would alone. `kind` may be a list with
    one for each label.
    """
    check_layout(images)
    kinds = check_kinds(labels, kind)
    depths = _fit_depth(depth, images) if depth is not None and _use_depth(kinds) else [None] * len(images)
    severities, seeds = _check_severity(severity, len(images)), _check_seed(seed, len(images))
    done = []
    for i, image in enumerate(pad_to_size(images.float().clamp(0.0, 1.0), MIN_SIDE).movedim(-1, 1)):
        if on_picture:
            on_picture(i)
        done.append(_degrade_one(image, kinds, severity=severities[i], seed=seeds[i], depth=depths[i]))
    return crop(torch.stack(done).movedim(1, -1), images.shape[1], images.shape[2]).contiguous()


def draw_kind(label: str, seed: int) -> str:
    """Return the kind that `degrade` draws for a label and a picture's seed, each as probable as any other."""
    kinds = list(list_kinds(label))
    return kinds[Draw(seed, f"kind of {label}").integer(0, len(kinds) - 1)]


def _degrade_one(
    image: Tensor, kinds: Mapping[str, str], *, severity: float, seed: int, depth: Tensor | None
) -> Tensor:
    """Degrade one picture [3, H, W] by the kind of each label, in their order."""
    for label, kind in kinds.items():
        if kind == ANY_KIND:
            kind = draw_kind(label, seed)
        function = list_kinds(label).load(kind)
        options = {"depth": depth} if _accepts_depth(function) else {}
        draw = Draw(seed, label if kind == STANDARD else f"{label}, {kind}")
        image = function(image, draw, severity=severity, **options).clamp(0.0, 1.0)
    return image


def _accepts_depth(function: Callable[..., Tensor]) -> bool:
    return "depth" in signature(function).parameters


def _use_depth(kinds: Mapping[str, str]) -> bool:
    """Return whether a kind of a label, or any of its kinds where the seed draws one, looks at the depth."""
    return any(
        _accepts_depth(list_kinds(label).load(one))
        for label, kind in kinds.items()
        for one in (list_kinds(label) if kind == ANY_KIND else [kind])
    )


def check_kinds(labels: Sequence[str], kind: str | Sequence[str | None] | None) -> dict[str, str]:
    """Return the kind of each label, or "any", in the order of image formation."""
    if isinstance(labels, str):
        raise InputError(f"labels must be a list, got the text {labels!r}; write [{labels!r}]")
    kinds = [kind] * len(labels) if kind is None or isinstance(kind, str) else list(kind)
    if len(kinds) != len(labels):
        raise InputError(f"kind must be one or {len(labels)}, one per label; got {len(kinds)}")
    known = {
        DEGRADATIONS.check(label): list_kinds(label).check(one) if one not in (None, ANY_KIND) else ANY_KIND
        for label, one in zip(labels, kinds, strict=True)
    }
    return {label: known[label] for label in DEGRADATIONS if label in known}


def _fit_depth(depth: Tensor, images: Tensor) -> list[Tensor]:
    """Return one depth [H, W] per picture, extended as the pictures are."""
    nearest, farthest = depth.min().item(), depth.max().item()
    if not (nearest >= 0.0 and farthest <= 1.0):
        raise InputError(f"depth must run from 0 (near) to 1 (far), got {nearest:g} to {farthest:g}; rescale it")
    # bicubic interpolation overshoots
    fitted = fit_map(depth, images, name="depth", mode="bicubic").clamp(nearest, farthest)
    return list(pad_to_size(fitted, MIN_SIDE).to(images.device, torch.float32))


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
