"""What all pictures of a report are drawn with: colors, canvases, captions, arrangement."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from math import sqrt

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..errors import InputError
from ..imaging.layout import check_images, from_pil, to_pil

BACKGROUND, BRIGHT, DIM = (20, 21, 24), (240, 240, 242), (158, 160, 168)
GAP, SEAM = 8, 2
"""Pixels between captioned pictures, and between the two pictures of one pair."""

SMALLEST_FONT, LARGEST_FONT, ROWS_PER_POINT = 11, 20, 24
LINE = 1.35
"""Distance of a caption's lines, in font sizes."""

CAPTION_EMS = 14
"""A caption may widen a narrow picture to this many font sizes; what is longer is cut."""


def thumbnail(image: Tensor, height: int) -> Image.Image:
    """Convert [H, W, 3] or [1, H, W, 3] to 8 bits, reduced to at most `height` rows."""
    if height < 1:
        raise InputError(f"height must be 1 or more, got {height}")
    image = check_images(image if image.ndim == 4 else image[None])[0]
    picture = to_pil(image)
    if picture.height <= height:
        return picture
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def to_tensor(picture: Image.Image) -> Tensor:
    """Return a drawing with a margin around it as float32 [1, H, W, 3] in 0..1."""
    whole = canvas(picture.width + 2 * GAP, picture.height + 2 * GAP)
    whole.paste(picture, (GAP, GAP))
    return from_pil(whole)[None]


def canvas(width: int, height: int) -> Image.Image:
    """Return an empty drawing."""
    return Image.new("RGB", (width, height), BACKGROUND)


def add_caption(picture: Image.Image, title: str, detail: str = "") -> Image.Image:
    """Return a picture above its caption: the title, and dimmer a line of detail."""
    size = caption_size(picture.height)
    font = ImageFont.load_default(size)
    longest = max(font.getlength(remove_accents(text)) for text in (title, detail))
    width = max(picture.width, min(round(longest) + 2, CAPTION_EMS * size))
    line = round(size * LINE)
    whole = canvas(width, picture.height + GAP // 2 + line * (2 if detail else 1))
    whole.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(whole)
    for row, (text, color) in enumerate([(title, BRIGHT), (detail, DIM)]):
        place = (width / 2, picture.height + GAP // 2 + line * (row + 0.5))
        draw.text(place, ellipsize(text, font, width), fill=color, font=font, anchor="mm")
    return whole


def caption_size(height: int) -> int:
    """Return the font size of the caption below a picture of `height` rows."""
    return min(max(height // ROWS_PER_POINT, SMALLEST_FONT), LARGEST_FONT)


def remove_accents(text: str) -> str:
    """Return a text without accents, which Pillow's own font has no glyphs for."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def ellipsize(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Return as much of a text as fits into `width` pixels, with dots where it was cut."""
    text = remove_accents(text)
    if font.getlength(text) <= width:
        return text
    return next((cut for end in range(len(text), 0, -1) if font.getlength(cut := text[:end] + "...") <= width), "")


def stack_horizontally(pictures: Sequence[Image.Image], gap: int) -> Image.Image:
    """Return pictures from left to right, aligned at the top."""
    whole = canvas(sum(p.width + gap for p in pictures) - gap, max(p.height for p in pictures))
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width + gap
    return whole


def arrange_in_grid(cells: Sequence[Image.Image]) -> Image.Image:
    """Return cells in columns of one width, as near to a square as their number allows."""
    width, height = max(cell.width for cell in cells), max(cell.height for cell in cells)
    columns = min(max(round(sqrt(len(cells) * height / width)), 1), len(cells))
    rows = [
        stack_horizontally([center_horizontally(cell, width) for cell in cells[i : i + columns]], GAP)
        for i in range(0, len(cells), columns)
    ]
    whole = canvas(rows[0].width, sum(row.height + GAP for row in rows) - GAP)
    top = 0
    for row in rows:
        whole.paste(row, (0, top))
        top += row.height + GAP
    return whole


def center_horizontally(picture: Image.Image, width: int) -> Image.Image:
    """Return a picture in the middle of a wider drawing."""
    whole = canvas(width, picture.height)
    whole.paste(picture, ((width - picture.width) // 2, 0))
    return whole
