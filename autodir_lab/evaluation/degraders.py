"""What degrades the clean photos of an evaluation: our own kinds, or a library that nothing here was made after."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from autodir_core.choices import DEGRADERS, STANDARD
from autodir_core.degrade import compose, draw_kind


def draw_kinds(degrader: str, labels: Sequence[str], seed: int) -> tuple[str, ...]:
    """Return the kind of each label that a degrader, one of `DEGRADERS`, draws from a seed."""
    if DEGRADERS.check(degrader) == STANDARD:
        return (STANDARD,) * len(labels)
    if degrader == "families":
        return tuple(draw_kind(label, seed) for label in labels)
    from . import albumentations_kinds

    return tuple(albumentations_kinds.draw_kind(label, seed) for label in labels)


def apply_kinds(
    degrader: str, clean: Tensor, labels: Sequence[str], kinds: Sequence[str], *, severity: float, seed: int
) -> Tensor:
    """Degrade [1, H, W, 3] in 0..1 by a kind of each label, in the order of image formation."""
    if degrader != "albumentations":
        return compose(clean, labels, severity=severity, seed=seed, kind=kinds)
    from . import albumentations_kinds

    return albumentations_kinds.compose(clean, labels, kinds, severity=severity, seed=seed)
