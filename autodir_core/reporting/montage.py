"""A restoration in pictures: the montage of its rounds, contact sheets of several pairs, and how both are drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from math import sqrt

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..errors import InputError
from ..imaging.layout import check_images, from_pil, to_pil
from ..outputs import Restoration
from .summary import check_picture, rounds_of, winner

BACKGROUND, BRIGHT, DIM = (20, 21, 24), (240, 240, 242), (158, 160, 168)
GAP, SEAM = 8, 2
"""Pixels between captioned pictures, and between the two pictures of one pair."""

SMALLEST_FONT, LARGEST_FONT, ROWS_PER_POINT = 11, 20, 24
LINE = 1.35
"""Distance of a caption's lines, in font sizes."""

CAPTION_EMS = 14
"""A caption may widen a narrow picture to this many font sizes; what is longer is cut."""

SHEET_HEIGHT = 256
Pictures = Tensor | Sequence[Tensor]


def round_montage(image: Tensor, restoration: Restoration, picture: int = 0, height: int = 512) -> Tensor:
    """Return the input, the image after each round and the result, side by side with captions.

    Args:
        image: the input [B, H, W, 3], 0..1, values outside allowed.
        restoration: what came of it; the rounds before the last are shown at the full weight of the correction.
        picture: which picture of the batch, from 0.
        height: rows that pictures are reduced to when they have more.

    Returns float32 [1, h, w, 3] in 0..1.
    """
    image, rounds = check_images(image), rounds_of(restoration, picture)
    check_picture(picture, len(image))
    captions = [f"round {n}: {winner(r, restoration.labels, picture)}" for n, r in enumerate(rounds, start=1)]
    captions = captions or [f"{restoration.stopped[picture]}, left as it is"]
    shown = [image, *(done.image for done in rounds[:-1]), restoration.image]
    titles = ["input", *captions[:-1], "result"]
    details = [f"{image.shape[2]} x {image.shape[1]}", *[""] * len(captions[:-1]), captions[-1]]
    figures = [
        figure(thumbnail(batch[picture], height), title, detail)
        for batch, title, detail in zip(shown, titles, details, strict=True)
    ]
    return framed(beside(figures, GAP))


def batch_montage(images: Tensor, restoration: Restoration) -> Tensor:
    """Return the round montage of every picture, [B, h, w, 3], padded to the width of the longest."""
    rows = [round_montage(images, restoration, i) for i in range(len(images))]
    whole = (torch.tensor(BACKGROUND) / 255).repeat(len(rows), rows[0].shape[1], max(row.shape[2] for row in rows), 1)
    for padded, row in zip(whole, rows, strict=True):
        padded[:, : row.shape[2]] = row[0]
    return whole


def sheet(before: Pictures, after: Pictures, captions: Sequence[str]) -> Tensor:
    """Several pictures before and after, pair by pair in a grid with captions.

    Args:
        before, after: batches [B, H, W, 3] or lists of [H, W, 3] or [1, H, W, 3] of any sizes, 0..1, values outside
            allowed.
        captions: one per pair.

    Returns float32 [1, h, w, 3] in 0..1, with pictures of at most 256 rows. InputError where the numbers differ.
    """
    counts = len(before), len(after), len(captions)
    if min(counts) == 0 or len(set(counts)) > 1:
        got = ", ".join(map(str, counts))
        raise InputError(f"a sheet needs as many pictures before as after and as captions, got {got}")
    pairs = [
        figure(beside([thumbnail(one, SHEET_HEIGHT), thumbnail(other, SHEET_HEIGHT)], SEAM), caption)
        for one, other, caption in zip(before, after, captions, strict=True)
    ]
    return framed(grid(pairs))


def thumbnail(image: Tensor, height: int) -> Image.Image:
    """One picture [H, W, 3] or [1, H, W, 3] in 8 bits, reduced to at most `height` rows."""
    if height < 1:
        raise InputError(f"height must be 1 or more, got {height}")
    image = check_images(image if image.ndim == 4 else image[None])[0]
    picture = to_pil(image)
    if picture.height <= height:
        return picture
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def framed(picture: Image.Image) -> Tensor:
    """float32 [1, H, W, 3] in 0..1, with a margin around the picture."""
    whole = canvas(picture.width + 2 * GAP, picture.height + 2 * GAP)
    whole.paste(picture, (GAP, GAP))
    return from_pil(whole)[None]


def canvas(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), BACKGROUND)


def figure(picture: Image.Image, title: str, detail: str = "") -> Image.Image:
    """A picture above its caption: the title, and dimmer a line of detail."""
    size = caption_size(picture.height)
    font = ImageFont.load_default(size)
    longest = max(font.getlength(drawable(text)) for text in (title, detail))
    width = max(picture.width, min(round(longest) + 2, CAPTION_EMS * size))
    line = round(size * LINE)
    whole = canvas(width, picture.height + GAP // 2 + line * (2 if detail else 1))
    whole.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(whole)
    for row, (text, colour) in enumerate([(title, BRIGHT), (detail, DIM)]):
        place = (width / 2, picture.height + GAP // 2 + line * (row + 0.5))
        draw.text(place, shortened(text, font, width), fill=colour, font=font, anchor="mm")
    return whole


def caption_size(height: int) -> int:
    """Font size of the caption below a picture of `height` rows."""
    return min(max(height // ROWS_PER_POINT, SMALLEST_FONT), LARGEST_FONT)


def drawable(text: str) -> str:
    """The text without accents, which Pillow's own font has no glyphs for."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """As much of a text as fits into `width` pixels, with dots where it was cut."""
    text = drawable(text)
    if font.getlength(text) <= width:
        return text
    return next((cut for end in range(len(text), 0, -1) if font.getlength(cut := text[:end] + "...") <= width), "")


def beside(pictures: Sequence[Image.Image], gap: int) -> Image.Image:
    """Pictures from left to right, aligned at the top."""
    whole = canvas(sum(p.width + gap for p in pictures) - gap, max(p.height for p in pictures))
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width + gap
    return whole


def grid(cells: Sequence[Image.Image]) -> Image.Image:
    """Cells in columns of one width, as near to a square as their number allows."""
    width, height = max(cell.width for cell in cells), max(cell.height for cell in cells)
    columns = min(max(round(sqrt(len(cells) * height / width)), 1), len(cells))
    rows = [
        beside([centred(cell, width) for cell in cells[i : i + columns]], GAP) for i in range(0, len(cells), columns)
    ]
    whole = canvas(rows[0].width, sum(row.height + GAP for row in rows) - GAP)
    top = 0
    for row in rows:
        whole.paste(row, (0, top))
        top += row.height + GAP
    return whole


def centred(picture: Image.Image, width: int) -> Image.Image:
    whole = canvas(width, picture.height)
    whole.paste(picture, ((width - picture.width) // 2, 0))
    return whole
