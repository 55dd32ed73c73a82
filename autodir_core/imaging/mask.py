"""Masks and depths: single-channel maps of any size, fitted to the pictures they belong to."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..errors import InputError
from ..outputs import Restoration
from .filters import resize


def apply_mask(original: Tensor, restored: Tensor, mask: Tensor | None) -> Tensor:
    """Return `restored` where the mask is 1, `original` bit for bit where it is 0, and a blend in between.

    Args:
        original: [B, H, W, 3].
        restored: [B, H, W, 3].
        mask: anything `fit_map` takes, clamped to 0..1; None returns `restored`.
    """
    if mask is None:
        return restored
    weight = fit_map(mask, original, name="mask").clamp(0, 1)[..., None].to(restored)
    return torch.lerp(original.to(restored), restored, weight.expand_as(restored))


def mask_restoration(original: Tensor, done: Restoration, mask: Tensor | None) -> Restoration:
    """Return the outcome of [B, H, W, 3] with the result and every round's picture as `apply_mask` has them."""

    def inside(image: Tensor) -> Tensor:
        return apply_mask(resize(original, *image.shape[1:3]), image, mask)

    return replace(
        done, image=inside(done.image), rounds=[replace(one, image=inside(one.image)) for one in done.rounds]
    )


def fit_map(values: Tensor, images: Tensor, *, name: str, mode: str = "bilinear") -> Tensor:
    """Return one map per picture, [B, H, W], in the size of `images` [B, H, W, C].

    Args:
        values: [h, w], [B or 1, h, w], or pictures [B or 1, h, w, 3 or 4], whose colors are averaged; any size.
        images: the pictures that the map belongs to.
        name: what an error calls the map.
        mode: "bilinear" or "bicubic", both antialiased.

    Raises InputError for any other shape.
    """
    batch, height, width, _ = images.shape
    gray = values[..., :3].mean(dim=-1) if values.ndim == 4 else values
    gray = gray[None] if gray.ndim == 2 else gray
    if gray.ndim != 3 or len(gray) not in (1, batch):
        raise InputError(f"the {name} must be [1 or {batch}, height, width], got {list(values.shape)}")
    return resize(gray[..., None], height, width, mode=mode)[..., 0].expand(batch, -1, -1)
