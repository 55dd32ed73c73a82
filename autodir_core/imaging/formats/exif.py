"""The EXIF block of a picture file, of which nothing is lost but orientation, sides and thumbnail of the old pixels."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from . import tags
from .containers import read_exif_item
from .errors import FORMAT_ERRORS

EXIF_START = b"Exif\0\0"
ORIENTATION, DESCRIPTION = int(ExifTags.Base.Orientation), int(ExifTags.Base.ImageDescription)
WIDTHS, HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
"""The tags of a picture's sides, in the first directory and in that of Exif."""

MAKER_NOTE = int(ExifTags.Base.MakerNote)
"""Its offsets are those of the block that the camera wrote: it cannot be read in one that is laid out anew."""

DESCRIPTIVE = (
    *("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "HostComputer", "Copyright"),
    *("DocumentName", "PageName", "Rating", "RatingPercent"),
    *("XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject"),
)
"""The tags of a TIFF file that describe the photo, not how its pixels are stored."""

PLACE = (33550, 33922, 34264, *range(34735, 34738), 42112, 42113)
"""The tags of a TIFF file by which GeoTIFF and GDAL say where on earth its pixels lie, and what they measure."""

PRIVATE = 32768
"""From here on the numbers of tags are those of companies."""

OF_PIXELS = b'{"shape"'
"""The description that tifffile writes begins so; it is that of an array."""


def bare_exif(block: Any) -> bytes:
    """Return an EXIF block without what it begins with in a file, which some files have twice."""
    return re.sub(b"^(Exif\0\0)+", b"", block) if isinstance(block, bytes) else b""


def read_exif(image: Image.Image, path: Path) -> bytes:
    """Return the EXIF block of an opened picture as it is in the file; of a TIFF file what its tags say about it."""
    if image.format == "TIFF":
        photo = describe_photo(tags.read_file(path))
        return tags.encode_block(photo) if photo else b""
    if image.format == "AVIF":  # whose block Pillow writes anew where it is turned otherwise than by the file
        with suppress(*FORMAT_ERRORS):
            return read_exif_item(path)
    block = image.info.get("exif")
    return block if isinstance(block, bytes) else b""


def describe_photo(directory: tags.Directory) -> tags.Directory:
    """Return those tags that do not say how pixels are stored, and the directories of Exif and GPS."""
    numbers = {int(ExifTags.Base[name]) for name in DESCRIPTIVE} | {tags.EXIF, tags.GPS}
    kept = {tag: value for tag, value in directory.items() if tag in numbers and value}
    nested = kept.get(tags.EXIF)
    if isinstance(nested, dict):
        kept[tags.EXIF] = {tag: value for tag, value in nested.items() if tag != MAKER_NOTE}
    description = kept.get(DESCRIPTION)
    if isinstance(description, tags.Value) and description.content.startswith(OF_PIXELS):
        del kept[DESCRIPTION]
    return kept


def describe_place(directory: tags.Directory) -> tuple[tuple[int, tags.Value], ...]:
    """Return where the pixels of a TIFF file lie; nothing where they will be turned, which it does not know of."""
    orientation = directory.get(ORIENTATION)
    if isinstance(orientation, tags.Value) and orientation.content[:1] != b"\1":
        return ()
    return tuple((tag, value) for tag in PLACE if isinstance(value := directory.get(tag), tags.Value))


def exif_tags(block: bytes) -> tags.Directory:
    """Return the tags of an EXIF block; none where there is none."""
    bare = bare_exif(block)
    return tags.read_directory(bare) if bare else {}


def has_maker_note(block: bytes) -> bool:
    nested = exif_tags(block).get(tags.EXIF)
    return isinstance(nested, dict) and MAKER_NOTE in nested


def with_resolution(block: bytes, dpi: tuple[float, float]) -> bytes:
    """Return an EXIF block, empty or not, that tells the resolution; one that is told stays."""
    bare = bare_exif(block) or tags.encode_block({})
    return EXIF_START + tags.add_tags(bare, tags.describe_resolution(dpi))


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
            struct.pack_into(order + "HIHxx", data, place + 2, tags.SHORT, 1, 1)
        elif tag in WIDTHS + HEIGHTS and kind in (tags.SHORT, tags.LONG) and values == 1:
            side = width if tag in WIDTHS else height
            struct.pack_into(order + ("Hxx" if kind == tags.SHORT else "I"), data, place + 8, side)
        elif tag == tags.EXIF:
            (exif,) = struct.unpack_from(order + "I", data, place + 8)
    return end, exif
