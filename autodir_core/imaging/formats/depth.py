"""Files with more bits than Pillow gives: which it reduces, and which `tiff.read_samples` reads in full."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .tiff import BITS

DEEP_MODES = ("RGB;16", "RGBA;16", "LA;16", "RGBX;16", "RGBa;16")
"""How the names begin by which Pillow's decoders know pixels of 16 bits that they reduce to 8."""


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
    for tile in getattr(file, "tile", ()):
        mode, *more = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if str(mode).startswith(DEEP_MODES) or (tile[0] == "ppm" and mode == "RGB" and more[0] > 255):
            return True
    return False
