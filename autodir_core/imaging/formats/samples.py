"""Files of more bits than Pillow gives: which it reduces, which are read in full, and what these hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

BITS = 258
"""The tag of a TIFF file that tells the bits of each channel."""

DEEP_MODES = ("RGB;16", "RGBA;16", "LA;16", "RGBX;16", "RGBa;16", "CMYK;16")
"""How the names begin by which Pillow's decoders know pixels of 16 bits that they reduce to 8."""


@dataclass(frozen=True)
class Samples:
    """The first picture of a file, upright, in the numbers that it is stored in.

    Attributes:
        color: [H, W, 1 or 3].
        alpha: [H, W]; None where it has none.
        premultiplied: whether the colors were multiplied by alpha.
        info: what Pillow would have in `Image.info`, of a TIFF file without EXIF.
        format: Pillow's name of the file's format.
    """

    color: np.ndarray
    alpha: np.ndarray | None
    premultiplied: bool
    info: dict[Any, Any]
    format: str


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return [H, W, ...] as the EXIF orientation 1..8 says that it is to be seen."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    rows, columns = (slice(None, None, -1 if orientation in flipped else 1) for flipped in ((3, 4, 7, 8), (2, 3, 6, 7)))
    return pixels[rows, columns]


def is_deep_tiff(file: Image.Image) -> bool:
    """Return whether an opened file is a TIFF file of more than 8 bits.

    Pillow reduces color, and of gray knows neither which end is white nor where the range of the type ends.
    """
    return min(getattr(file, "tag_v2", {}).get(BITS) or (1,)) > 8


def read_levels(image: Image.Image) -> np.ndarray:
    """Return the gray of a loaded picture of more than 8 bits; 12, as scientific TIFF files have, are spread to 16."""
    levels = np.asarray(image)
    is_narrow = getattr(image, "tag_v2", {}).get(BITS) == (12,)
    return (levels.astype(np.uint32) * 65535 // 4095).astype(np.uint16) if is_narrow else levels


def reduces_color(file: Image.Image) -> bool:
    """Return whether Pillow will reduce the colors of an opened file, not yet loaded, to 8 bits."""
    if file.info.get("bit_depth", 8) > 8 and not file.mode.startswith("I"):  # of JPEG 2000 and HEIF files
        return True
    for tile in getattr(file, "tile", ()):
        mode, *more = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if str(mode).startswith(DEEP_MODES) or (tile[0] == "ppm" and mode == "RGB" and more[0] > 255):
            return True
    return False
