"""Files with more bits than Pillow gives: which it reduces, and which `tiff.read_samples` reads in full."""

from __future__ import annotations

from PIL import Image

from .tiff import BITS

DEEP_MODES = ("RGB;16", "RGBA;16", "LA;16", "RGBX;16", "RGBa;16")
"""How the names begin by which Pillow's decoders know pixels of 16 bits that they reduce to 8."""


def is_deep_tiff(file: Image.Image) -> bool:
    """Return whether an opened file is a TIFF file of color above 8 bits, or of gray of 32 bits, taken as signed."""
    bits = getattr(file, "tag_v2", {}).get(BITS, ())
    return (file.mode == "I" and bits == (32,)) or (len(bits) > 1 and min(bits) > 8)


def reduces_color(file: Image.Image) -> bool:
    """Return whether Pillow will reduce the colors of an opened file, not yet loaded, to 8 bits."""
    for tile in getattr(file, "tile", ()):
        mode, *more = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if str(mode).startswith(DEEP_MODES) or (tile[0] == "ppm" and mode == "RGB" and more[0] > 255):
            return True
    return False
