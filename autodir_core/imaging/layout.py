"""Layouts and ranges, known only here: pictures are [B, H, W, 3] in 0..1, networks see [B, 3, H, W] in -1..1."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError

MOST_SQUARES = 3
"""Squares along a side of a picture at most: of a large one they leave gaps, which keeps looking at it quick."""


def check_images(images: Tensor, name: str = "images") -> Tensor:
    """`images` as float32; InputError unless it is a [B, H, W, 3] tensor of finite numbers that is not empty."""
    if not isinstance(images, Tensor):
        raise InputError(f"{name} must be a torch tensor [B, H, W, 3] with values 0..1, got {type(images).__name__}")
    if images.ndim != 4 or images.shape[-1] != 3 or images.numel() == 0:
        raise InputError(f"{name} must have the shape [B, H, W, 3], got {list(images.shape)}")
    if not images.is_floating_point():
        raise InputError(f"{name} must be floating point with values 0..1, got {images.dtype}; divide by its maximum")
    if not torch.isfinite(images).all():
        raise InputError(f"{name} holds values that are not finite (nan or inf)")
    return images.float()


def to_network(images: Tensor) -> Tensor:
    """[B, H, W, 3] in 0..1 to [B, 3, H, W] in -1..1."""
    # contiguous: convolutions give other last bits for other memory layouts, and callers have them all
    return (images.permute(0, 3, 1, 2) * 2 - 1).contiguous()


def from_network(x: Tensor) -> Tensor:
    """[B, 3, H, W] in -1..1 to [B, H, W, 3] in 0..1, not clamped."""
    return ((x.permute(0, 2, 3, 1) + 1) / 2).contiguous()


def pad_to_multiple(x: Tensor, stride: int) -> Tensor:
    """[B, C, H, W] extended at the bottom and right by reflection until both sides are multiples of `stride`.

    Reflects as often as it takes, so that any size works down to 1x1.
    """
    for dim in (-2, -1):
        size = x.shape[dim]
        target = -(-size // stride) * stride
        if target != size:
            x = x.index_select(dim, reflected(size, target).to(x.device))
    return x


def reflected(size: int, target: int) -> Tensor:
    """Indices 0..target-1 folded back into 0..size-1 without repeating the edge."""
    period = max(2 * (size - 1), 1)
    index = torch.arange(target) % period
    return torch.minimum(index, period - index).clamp(max=size - 1)


def crop(images: Tensor, height: int, width: int) -> Tensor:
    """The top left part of [B, H, W, 3]."""
    return images[:, :height, :width]


def centre_square(x: Tensor, side: int) -> Tensor:
    """The central side x side part of [B, C, H, W]; what a smaller picture lacks is 0 (black, when given in 0..1).

    Official: CLIPFeatureExtractor's centre crop, whose odd pixel goes to the bottom right.
    """
    height, width = x.shape[-2:]
    top, left = max((height - side) // 2, 0), max((width - side) // 2, 0)
    x = x[..., top : top + side, left : left + side]
    missing_y, missing_x = side - x.shape[-2], side - x.shape[-1]
    before_y, before_x = missing_y // 2, missing_x // 2
    return torch.nn.functional.pad(x, (before_x, missing_x - before_x, before_y, missing_y - before_y))


def squares(image: Tensor, side: int) -> Tensor:
    """The squares [S, side, side, 3] that one picture [1, H, W, 3] is looked at in, row by row.

    Along each side ceil(length / side) of them, at most `MOST_SQUARES`. A picture shorter than the square is not
    extended: there they have its own height or width.
    """
    tops, lefts = (starts(length, side) for length in image.shape[1:3])
    return torch.cat([image[:, top : top + side, left : left + side] for top in tops for left in lefts])


def starts(length: int, side: int) -> list[int]:
    """Where squares begin that are spread evenly from the first pixel to the last; the middle of three is central."""
    count = min(max(-(-length // side), 1), MOST_SQUARES)
    return [i * (length - side) // (count - 1) for i in range(count)] if count > 1 else [0]


def scaled(images: Tensor, height: int, width: int, *, mode: str = "bicubic") -> Tensor:
    """[B, h, w, C] at another size by antialiased interpolation; the very tensor where it has that size already."""
    if images.shape[1:3] == (height, width):
        return images
    x = images.movedim(-1, 1)
    return torch.nn.functional.interpolate(x, (height, width), mode=mode, antialias=True).movedim(1, -1)


def extended(images: Tensor, side: int) -> Tensor:
    """[B, H, W, ...] made at least `side` pixels high and wide by reflection at the bottom and right."""
    for dim in (1, 2):
        size = images.shape[dim]
        if size < side:
            images = images.index_select(dim, reflected(size, side).to(images.device))
    return images
