"""What is not read: formats that are known by how their files begin, with what to do, later pictures, finer levels."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from PIL import Image

from .errors import FORMAT_ERRORS

logger = logging.getLogger(__name__)

AS_FLOAT_TIFF = "convert it to a float TIFF file (32 bits), whose values outside 0..1 restore --keep-range keeps"
AS_PICTURE = "convert it to PNG or TIFF"

STARTS = {
    b"\x76\x2f\x31\x01": ("an OpenEXR file", AS_FLOAT_TIFF),
    b"#?RADIANCE": ("a Radiance HDR file", AS_FLOAT_TIFF),
    b"#?RGBE": ("a Radiance HDR file", AS_FLOAT_TIFF),
    b"\xff\x0a": ("a JPEG XL file", AS_PICTURE),
    b"\0\0\0\x0cJXL \r\n\x87\n": ("a JPEG XL file", AS_PICTURE),
    b"%PDF-": ("a PDF document", AS_PICTURE),
}
"""First bytes -> what such a file is, and what to do."""

AVIF_HEAD, AV1_SETTINGS, HIGH_BIT_DEPTH = 65536, b"av1C", 0x40
"""Bytes of an AVIF file that hold its boxes, the name of that of the codec, and the bit of its third byte that says
more than 8 bits a channel (AV1 in ISOBMFF, section 2.3)."""


def describe_unread(path: Path) -> str:
    """Return why a picture of a format that is known here is refused; nothing for any other file."""
    with path.open("rb") as file:
        start = file.read(max(map(len, STARTS)))
    for begins, (name, advice) in STARTS.items():
        if start.startswith(begins):
            return f"{path} is {name}, which is not read; {advice}"
    return ""


def warn_of_others(file: Image.Image, path: Path) -> None:
    """Warn where an opened file holds further pages or frames; those of a phone's JPEG are previews and depth maps."""
    with suppress(*FORMAT_ERRORS):  # which reading the first one may meet too, and tells
        count = 1 if file.format == "MPO" else getattr(file, "n_frames", 1)
        if count > 1:
            logger.warning("%s: the first of its %d pictures is taken, the others are left out", path, count)


def warn_of_avif_depth(file: Image.Image, path: Path) -> None:
    """Warn where an opened AVIF file has more than 8 bits a channel, which Pillow reduces."""
    if file.format != "AVIF":
        return
    with path.open("rb") as opened:
        _, _, settings = opened.read(AVIF_HEAD).partition(AV1_SETTINGS)
    if settings[2:3] and settings[2] & HIGH_BIT_DEPTH:
        logger.warning("%s: its colors, of more than 8 bits, are read as 8 bits; a PNG or TIFF file keeps all", path)
