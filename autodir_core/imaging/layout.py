"""Layouts, ranges and 8 bits, known only here.

Pictures are [B, H, W, 3] in 0..1, networks see [B, 3, H, W] in -1..1, files and Pillow have 8 bits.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError
from .paths import warn_once

KEEP = "--keep-range keeps them"

LUMA = 0.299, 0.587, 0.114
"""The weights of red, green and blue."""

MAX_VALUE = 4.0
"""Larger values are of another range than 0..1; what a decoder gives is within -1..2."""

FLOAT_RANGES = ((1.0, MAX_VALUE), (255.0, 255.0), (65535.0, 65535.0))
"""White, and the largest value that is taken for it or for a highlight above it."""

CROPS_PER_SIDE, MAX_CROPS_PER_SIDE = 3, 7
"""Crops of a grid along a side: enough for most pictures, and for those that are many times as long as a crop."""
"""Crops along a side of a picture at most: on a large one they leave gaps, which keeps the assessment quick."""


def check_images(images: Tensor, name: str = "images") -> Tensor:
    """Return `images` as float32.

    InputError unless it is a [B, H, W, 3] tensor of finite numbers that is not empty and whose range is about 0..1:
    values up to `MAX_VALUE` are fine, as decoders give them, 0..255 is not.
    """
    low, high = finite_range(check_layout(images, name), name)
    if max(-low, high) > MAX_VALUE:
        raise InputError(f"{name} must have values in about 0..1, got {low:g}..{high:g}; divide by the value of white")
    return images.float()


def check_finite(images: Tensor, name: str = "images") -> Tensor:
    """Return `images`; InputError where a value is not a finite number."""
    finite_range(images, name)
    return images


def finite_range(images: Tensor, name: str) -> tuple[float, float]:
    """Return the smallest and the largest value; InputError where a value is not a finite number."""
    low, high = (extreme.item() for extreme in images.aminmax())  # nan where a value is, and no copy of a large picture
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"{name} holds values that are not finite (nan or inf)")
    return low, high


def check_layout(images: Tensor, name: str = "images") -> Tensor:
    """Return `images`; InputError unless it is a floating point tensor [B, H, W, 3] that is not empty."""
    if not isinstance(images, Tensor):
        raise InputError(f"{name} must be a torch tensor [B, H, W, 3] with values 0..1, got {type(images).__name__}")
    if images.ndim != 4 or images.shape[-1] != 3 or images.numel() == 0:
        raise InputError(f"{name} must have the shape [B, H, W, 3], got {list(images.shape)}")
    if not images.is_floating_point():
        raise InputError(f"{name} must be floating point with values 0..1, got {images.dtype}; divide by its maximum")
    return images


def check_same_shape(one: Tensor, other: Tensor) -> None:
    """InputError for pictures of two shapes."""
    if one.shape != other.shape:
        raise InputError(f"both pictures need one shape, got {list(one.shape)} and {list(other.shape)}")


def to_network(images: Tensor) -> Tensor:
    """Convert [B, H, W, 3] in 0..1 to [B, 3, H, W] in -1..1."""
    # one memory format: convolutions give other last bits for others, and callers have them all
    return (images.permute(0, 3, 1, 2) * 2 - 1).contiguous(memory_format=torch.channels_last)


def from_network(x: Tensor) -> Tensor:
    """Convert [B, 3, H, W] in -1..1 to [B, H, W, 3] in 0..1, not clamped."""
    return ((x.permute(0, 2, 3, 1) + 1) / 2).contiguous()


def to_uint8(values: Tensor) -> Tensor:
    """Round values in 0..1 to the 256 levels of 8 bits; those outside are clamped."""
    return values.detach().float().clamp(0, 1).mul_(255).round_().to(torch.uint8)


def to_uint16(values: Tensor) -> np.ndarray:
    """Round values in 0..1 to the 65536 levels of 16 bits; those outside are clamped."""
    return np.rint(values.detach().cpu().double().clamp(0, 1).numpy() * 65535).astype(np.uint16)


def from_uint8(levels: Tensor | np.ndarray) -> Tensor:
    """Convert the 256 levels of 8 bits to float32 in 0..1."""
    tensor = levels if isinstance(levels, Tensor) else torch.from_numpy(np.array(levels))
    return tensor.to(torch.float32, copy=True).div_(255)


def scale_samples(values: np.ndarray, path: Path) -> Tensor:
    """Return the samples of a file, of any type, in 0..1; integers of 32 bits may hold 16, which their values tell."""
    largest, smallest = finite_extremes(values, path)
    if values.dtype.kind == "f":
        known = FLOAT_RANGES
    else:
        top = np.iinfo(values.dtype).max
        known = tuple((white, white) for white in ((top,) if values.dtype.itemsize <= 2 else (65535, top)))
    white = next((white for white, limit in known if largest <= limit), None)
    if white is None:
        raise InputError(f"{path} has values up to {largest:g}; scale them to 0..1 first, or give --keep-range")
    if largest > white:
        warn_once(f"{path}: values up to {largest:.3g} are cut off at {white:g} in what is made of it; {KEEP}")
    if smallest < 0:
        warn_once(f"{path}: values down to {smallest:.3g} are cut off at 0 in what is made of it; {KEEP}")
    return torch.from_numpy((values.astype(np.float64) / white).clip(0, 1).astype(np.float32))


def finite_extremes(values: np.ndarray, path: Path) -> tuple[float, float]:
    """Return the largest and the smallest sample; InputError where one is not a finite number."""
    if not np.isfinite(values).all():
        raise InputError(f"{path} holds values that are not finite (nan or inf)")
    return values.max(), values.min()


def to_pil(image: Tensor) -> Image.Image:
    """Convert [H, W, 1 to 4] in 0..1, values outside clamped, to 8 bits: gray or RGB, and alpha where it is even."""
    return Image.fromarray(to_uint8(image).cpu().contiguous().squeeze(-1).numpy())


def to_gray(image: Tensor) -> Tensor:
    """Return the luma [..., 1] of [..., 3] (ITU-R BT.601), as Pillow and OpenCV make pictures gray."""
    return (image * image.new_tensor(LUMA)).sum(-1, keepdim=True)


def from_pil(image: Image.Image) -> Tensor:
    """Convert a picture of 8 bits to float32 [H, W, C] in 0..1, a gray one to [H, W]."""
    return from_uint8(np.asarray(image))


def pad_to_multiple(images: Tensor, stride: int) -> Tensor:
    """Extend [B, H, W, 3] at the bottom and right by reflection until both sides are multiples of `stride`.

    Reflects as often as it takes, so that any size works down to 1x1.
    """
    for dim in (1, 2):
        size = images.shape[dim]
        target = -(-size // stride) * stride
        if target != size:
            images = images.index_select(dim, reflect_indices(size, target).to(images.device))
    return images


def reflect_indices(size: int, target: int) -> Tensor:
    """Return the indices 0..target-1 folded back into 0..size-1 without repeating the edge."""
    period = max(2 * (size - 1), 1)
    index = torch.arange(target) % period
    return torch.minimum(index, period - index).clamp(max=size - 1)


def crop(images: Tensor, height: int, width: int) -> Tensor:
    """Return the top left part of [B, H, W, 3]."""
    return images[:, :height, :width]


def center_crop(x: Tensor, side: int) -> Tensor:
    """Return the central side x side part of [B, C, H, W]; what a smaller picture lacks is 0, black in 0..1.

    Official: CLIPFeatureExtractor's center crop, whose odd pixel goes to the bottom right.
    """
    height, width = x.shape[-2:]
    top, left = max((height - side) // 2, 0), max((width - side) // 2, 0)
    x = x[..., top : top + side, left : left + side]
    missing_y, missing_x = side - x.shape[-2], side - x.shape[-1]
    before_y, before_x = missing_y // 2, missing_x // 2
    return torch.nn.functional.pad(x, (before_x, missing_x - before_x, before_y, missing_y - before_y))


def center_box(size: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom, in a picture of this width and height, of what `center_crop` takes."""
    left, top = (max((length - side) // 2, 0) for length in size)
    return left, top, min(left + side, size[0]), min(top + side, size[1])


def grid_crops(image: Tensor, side: int) -> Tensor:
    """Return the crops [N, side, side, 3] of one picture [1, H, W, 3] that reach from border to border, row by row.

    Along each side there are as many as cover it, from three on as many as cover a third of it, seven at most. A
    picture shorter than a crop is not extended: its crops have its own height or width.
    """
    tops, lefts = (crop_starts(length, side) for length in image.shape[1:3])
    return torch.cat([image[:, top : top + side, left : left + side] for top in tops for left in lefts])


def crop_starts(length: int, side: int) -> list[int]:
    """Return where crops start, evenly spread from the first pixel to the last; the middle one of three is central."""
    covering, third = -(-length // side), -(-length // (CROPS_PER_SIDE * side))
    count = min(max(covering, 1), max(third, CROPS_PER_SIDE), MAX_CROPS_PER_SIDE)
    return [i * (length - side) // (count - 1) for i in range(count)] if count > 1 else [0]


def pad_to_size(images: Tensor, side: int) -> Tensor:
    """Extend [B, H, W, ...] at the bottom and right by reflection to at least `side` pixels a side."""
    for dim in (1, 2):
        size = images.shape[dim]
        if size < side:
            images = images.index_select(dim, reflect_indices(size, side).to(images.device))
    return images
