"""The EXIF block of a picture file, of which nothing is lost but orientation, sides and thumbnail of the old pixels."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from typing import Any

from PIL import ExifTags, Image

EXIF_START = b"Exif\0\0"
SHORT, LONG = 3, 4
ORIENTATION, EXIF_DIRECTORY, GPS_DIRECTORY = (
    int(tag) for tag in (ExifTags.Base.Orientation, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
)
WIDTHS, HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
"""The tags of a picture's sides, in the first directory and in that of Exif."""

DESCRIPTIVE = (
    *("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "HostComputer", "Copyright", "Rating"),
    *("XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject"),
)
"""The tags of a TIFF file that describe the photo, not how its pixels are stored."""


def bare_exif(block: Any) -> bytes:
    """Return an EXIF block without what it begins with in a file, which some files have twice."""
    return re.sub(b"^(Exif\0\0)+", b"", block) if isinstance(block, bytes) else b""


def read_exif(image: Image.Image) -> bytes:
    """Return the EXIF block of an opened picture as it is in the file; of a TIFF file what its tags say about it."""
    block = image.info.get("exif")
    if image.format == "TIFF":
        exif = Image.Exif()
        exif.update(describe_photo(image.getexif()))
    elif isinstance(block, bytes):
        return block
    else:
        exif = image.getexif()
    return exif.tobytes() if len(exif) else b""


def describe_photo(tags: Image.Exif) -> dict[int, Any]:
    """Return those tags that do not say how pixels are stored, the directories of Exif and GPS as dictionaries."""
    numbers = (int(ExifTags.Base[name]) for name in DESCRIPTIVE)
    directories = {tag: tags.get_ifd(tag) for tag in (EXIF_DIRECTORY, GPS_DIRECTORY)}
    return {tag: tags[tag] for tag in numbers if tag in tags} | {tag: one for tag, one in directories.items() if one}


def make_upright(block: bytes, width: int, height: int) -> bytes:
    """Return an EXIF block for upright pixels of this size: its values are changed in place, so that all others stay.

    Raises what `struct` and dictionaries raise where it is no EXIF block.
    """
    block = bare_exif(block)
    if not block:
        return b""
    data, order = bytearray(block), {b"II": "<", b"MM": ">"}[block[:2]]
    (first,) = struct.unpack_from(order + "I", data, 4)
    end, exif = _set_sides(data, order, first, width, height)
    if end + 4 <= len(data):
        struct.pack_into(order + "I", data, end, 0)  # the directory of the thumbnail
    with suppress(struct.error):
        _set_sides(data, order, exif, width, height)
    return EXIF_START + bytes(data)


def _set_sides(data: bytearray, order: str, start: int, width: int, height: int) -> tuple[int, int]:
    """Set orientation and sides in a directory; return where it ends and where that of Exif begins."""
    (count,) = struct.unpack_from(order + "H", data, start)
    end, exif = start + 2 + 12 * count, len(data)
    for place in range(start + 2, end, 12):
        tag, kind, values = struct.unpack_from(order + "HHI", data, place)
        if tag == ORIENTATION:
            struct.pack_into(order + "HIHxx", data, place + 2, SHORT, 1, 1)
        elif tag in WIDTHS + HEIGHTS and kind in (SHORT, LONG) and values == 1:
            side = width if tag in WIDTHS else height
            struct.pack_into(order + ("Hxx" if kind == SHORT else "I"), data, place + 8, side)
        elif tag == EXIF_DIRECTORY:
            (exif,) = struct.unpack_from(order + "I", data, place + 8)
    return end, exif
