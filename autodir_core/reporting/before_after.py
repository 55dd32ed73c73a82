"""Pictures whose left part is before and whose right part is after, as a slider would show them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..errors import InputError
from ..imaging.layout import check_images
from .drawing import (
    BACKGROUND,
    BRIGHT,
    DIM,
    GAP,
    LINE,
    canvas,
    caption_size,
    center_horizontally,
    thumbnail,
    to_tensor,
)

TITLES = ("before", "after")
MIN_RADIUS, MAX_RADIUS, ROWS_PER_RADIUS = 5, 18, 32
SUPERSAMPLING = 4
"""The handle is drawn this many times larger and reduced, because Pillow draws hard edges."""


def before_after_slider(
    before: Tensor, after: Tensor, details: Sequence[tuple[str, str]], *, position: float = 0.5
) -> Tensor:
    """Return pictures with their left part before and the rest after, a divider with a handle, and captions below.

    Args:
        before, after: [B, H, W, 3] of one shape, 0..1, values outside allowed.
        details: for each picture the line under "before" and the one under "after"; both may be empty.
        position: fraction of the width that shows before, 0..1.

    Returns float32 [B, h, w, 3] in 0..1. Raises InputError where shapes, their number or the position do not fit.
    """
    before, after = check_images(before, "before"), check_images(after, "after")
    if before.shape != after.shape or len(details) != len(after):
        raise InputError(
            f"a slider needs one shape before and after and one pair of details per picture, got {list(before.shape)}, "
            f"{list(after.shape)} and {len(details)} pairs"
        )
    if not 0 <= position <= 1:
        raise InputError(f"position must lie in 0 (all after) .. 1 (all before), got {position}")
    height, width = after.shape[1:3]
    size = caption_size(height)
    wide = max(width, *(caption_width(pair, size) for pair in details))
    cut = round(position * width)
    drawn = []
    for one, other, pair in zip(before, after, details, strict=True):
        picture = split_picture(thumbnail(one, height), thumbnail(other, height), cut)
        drawn.append(to_tensor(add_captions(center_horizontally(picture, wide), pair, size)))
    return torch.cat(drawn)


def split_picture(before: Image.Image, after: Image.Image, cut: int) -> Image.Image:
    """Return `cut` columns of before, the rest of after, and the divider with its handle where they meet."""
    whole = after.copy()
    whole.paste(before.crop((0, 0, cut, before.height)), (0, 0))
    draw = ImageDraw.Draw(whole)
    draw.rectangle((cut - 2, 0, cut + 1, whole.height), fill=BACKGROUND)
    draw.rectangle((cut - 1, 0, cut, whole.height), fill=BRIGHT)
    radius = min(max(whole.height // ROWS_PER_RADIUS, MIN_RADIUS), MAX_RADIUS)
    if whole.height > 4 * radius:
        grip = draw_handle(radius)
        whole.paste(grip, (cut - radius, whole.height // 2 - radius), grip)
    return whole


def draw_handle(radius: int) -> Image.Image:
    """Return a bright disc with a dark rim and an arrow to either side, RGBA."""
    r = radius * SUPERSAMPLING
    disc = Image.new("RGBA", (2 * r, 2 * r), (*BACKGROUND, 0))
    draw = ImageDraw.Draw(disc)
    draw.ellipse((0, 0, 2 * r - 1, 2 * r - 1), fill=BRIGHT, outline=BACKGROUND, width=SUPERSAMPLING)
    for side in (-1, 1):
        tip, foot = r + side * 0.65 * r, r + side * 0.2 * r
        draw.polygon([(tip, r), (foot, 0.65 * r), (foot, 1.35 * r)], fill=BACKGROUND)
    return disc.reduce(SUPERSAMPLING)


def add_captions(picture: Image.Image, details: tuple[str, str], size: int) -> Image.Image:
    """Return a picture above its captions: before at the left edge, after at the right one."""
    font, line = ImageFont.load_default(size), round(size * LINE)
    whole = canvas(picture.width, picture.height + GAP // 2 + 2 * line)
    whole.paste(picture, (0, 0))
    draw = ImageDraw.Draw(whole)
    for texts, row, color in ((TITLES, 0.5, BRIGHT), (details, 1.5, DIM)):
        top = picture.height + GAP // 2 + line * row
        draw.text((0, top), texts[0], fill=color, font=font, anchor="lm")
        draw.text((picture.width, top), texts[1], fill=color, font=font, anchor="rm")
    return whole


def caption_width(details: tuple[str, str], size: int) -> int:
    """Return the columns that both captions need side by side."""
    font = ImageFont.load_default(size)
    left, right = (max(font.getlength(text) for text in pair) for pair in zip(TITLES, details, strict=True))
    return round(left + right) + 2 * GAP
