"""What files are made of: boxes of JPEG 2000 (ISO/IEC 15444-1) and AVIF (ISO/IEC 14496-12, 23008-12), chunks, segments.

What Pillow does not tell of these formats, or not as it is stored.
"""

from __future__ import annotations

import io
import logging
import mmap
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from .errors import FORMAT_ERRORS
from .png import PNG_START, png_chunks
from .tags import STARTS as TIFF_STARTS
from .tiff import strip_tags

logger = logging.getLogger(__name__)

OUTER = {b"jp2h": 0, b"meta": 4}
"""Names of boxes that hold others, and how many bytes are before these."""

EXIF_ITEM, IN_FILE, IN_DATA_BOX = b"Exif", 0, 1

JPEG_START, JPEG_PIXELS, JPEG_PROFILE = b"\xff\xd8", 0xDA, b"ICC_PROFILE\0"
JPEG_METADATA = (*range(0xE0, 0xEE), 0xEF, 0xFE)
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
GIF_XMP, GIF_XMP_END = b"\x21\xff\x0bXMP DataXMP", b"\1\xff\xfe\xfd"

WEBP_HEAD, WEBP_LOSSY, WEBP_LOSSLESS, WEBP_FRAME, WEBP_FRAME_HEAD = 12, b"VP8 ", b"VP8L", b"ANMF", 16
"""Bytes before the chunks of a WebP file, names of those of pixels and of a frame, and bytes before what is in that."""

AVIF_HEAD, AV1_SETTINGS, HIGH_BIT_DEPTH = 65536, b"av1C", 0x40
"""Bytes of an AVIF file that hold its boxes, the name of that of the codec, and the bit of its third byte that says
more than 8 bits a channel (AV1 in ISOBMFF, section 2.3)."""


class Box(NamedTuple):
    """Name of a box, and where its content begins and ends."""

    name: bytes
    start: int
    end: int


def read_boxes(content: bytes | mmap.mmap, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two places, in place of outer ones those in them."""
    while start + 16 <= end:
        length, name, length_of_large = struct.unpack_from(">I4sQ", content, start)
        body = start + (16 if length == 1 else 8)
        stop = start + (length_of_large if length == 1 else length) if length else end
        if not body <= stop <= end:
            return
        if name in OUTER:
            yield from read_boxes(content, body + OUTER[name], stop)
        else:
            yield Box(name, body, stop)
        start = stop


def read_exif_item(path: Path) -> bytes:
    """Return the EXIF block of an AVIF file as it is stored; nothing where it has none, or one in pieces.

    Raises what `struct` and dictionaries raise where the boxes are damaged.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        boxes = {box.name: box for box in read_boxes(content, 0, len(content))}
        number = find_item(content, boxes[b"iinf"], EXIF_ITEM)
        method, start, length = locate_item(content[boxes[b"iloc"].start : boxes[b"iloc"].end], number)
        start += {IN_FILE: 0, IN_DATA_BOX: boxes.get(b"idat", boxes[b"iloc"]).start}[method]
        item = content[start : start + length]
    (before,) = struct.unpack_from(">I", item)
    return item[4 + before :]


def find_item(content: bytes | mmap.mmap, listing: Box, kind: bytes) -> int:
    """Return the number of the first item of a kind; LookupError where the box "iinf" has none."""
    for entry in read_boxes(content, listing.start + (8 if content[listing.start] else 6), listing.end):
        number, found = struct.unpack_from(">4xI2x4s" if content[entry.start] > 2 else ">4xH2x4s", content, entry.start)
        if found == kind:
            return number
    raise LookupError(kind)


def locate_item(places: bytes, wanted: int) -> tuple[int, int, int]:
    """Return from the box "iloc" in what an item is stored, and its place and length there; LookupError for pieces."""
    file = io.BytesIO(places)
    version, _, sizes = read_number(file, 1), read_number(file, 3), read_number(file, 2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    index, wide = index if version else 0, 4 if version > 1 else 2
    read_number(file, wide)
    while file.tell() < len(places):
        number, method = read_number(file, wide), read_number(file, 2) & 15 if version else IN_FILE
        _, start, pieces = read_number(file, 2), read_number(file, base), read_number(file, 2)
        if (number, pieces) == (wanted, 1):
            read_number(file, index)
            return method, start + read_number(file, offset), read_number(file, length)
        file.seek(pieces * (index + offset + length), io.SEEK_CUR)
    raise LookupError(wanted)


def read_number(file: io.BytesIO, size: int) -> int:
    return int.from_bytes(file.read(size), "big")


def count_pictures(image: Image.Image) -> int:
    """Return how many frames an opened file has, before it is loaded; a phone's JPEG has previews and depth maps."""
    with suppress(*FORMAT_ERRORS):  # which reading the first one may meet too, and tells
        return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    return 1


def is_lossless_webp(path: Path) -> bool:
    """Return whether the first picture of a WebP file is a lossless one; all of them are of a kind."""
    with path.open("rb") as file:
        file.seek(WEBP_HEAD)
        while len(head := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", head)
            if kind in (WEBP_LOSSY, WEBP_LOSSLESS):
                return kind == WEBP_LOSSLESS
            file.seek(WEBP_FRAME_HEAD if kind == WEBP_FRAME else length + length % 2, io.SEEK_CUR)
    return False


def read_gif_xmp(path: Path) -> bytes:
    """Return the XMP packet of a GIF file, which Pillow passes over, up to the bytes that lead old readers past it."""
    packet, end, _ = path.read_bytes().partition(GIF_XMP)[2].partition(GIF_XMP_END)
    return packet if end else b""


def warn_of_avif_depth(file: Image.Image, path: Path) -> None:
    """Warn where an opened AVIF file has more than 8 bits a channel, which Pillow reduces."""
    if file.format != "AVIF":
        return
    with path.open("rb") as opened:
        _, _, settings = opened.read(AVIF_HEAD).partition(AV1_SETTINGS)
    if settings[2:3] and settings[2] & HIGH_BIT_DEPTH:
        logger.warning("%s: its colors, of more than 8 bits, are read as 8 bits; a PNG or TIFF file keeps all", path)


def jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of a JPEG file before its pixels, marker and all of it, and the rest as the last one."""
    at = len(JPEG_START)
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != JPEG_PIXELS:
        end = at + 2 + struct.unpack_from(">H", content, at + 2)[0]
        yield content[at + 1], content[at:end]
        at = end
    yield JPEG_PIXELS, content[at:]


def strip_metadata(path: Path) -> bytes:
    """Return the content of a PNG, JPEG or TIFF file without metadata; nothing of another file."""
    with path.open("rb") as file:
        start = file.read(len(PNG_START))
        if not start.startswith((PNG_START, JPEG_START, *TIFF_STARTS)):
            return b""
        content = start + file.read()
    if content.startswith(TIFF_STARTS):
        return strip_tags(content)
    if content.startswith(PNG_START):
        return PNG_START + b"".join(whole for kind, whole in png_chunks(content) if kind in PNG_PIXELS)
    segments = jpeg_segments(content)
    whole = len(JPEG_PROFILE) + 6  # with marker, length and number
    kept = (
        one
        for marker, one in segments
        if marker not in JPEG_METADATA or (one[4:].startswith(JPEG_PROFILE) and len(one) > whole)
    )
    return JPEG_START + b"".join(kept)
