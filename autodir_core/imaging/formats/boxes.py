"""Files of boxes: JPEG 2000 (ISO/IEC 15444-1) and AVIF, whose EXIF block is an item (ISO/IEC 14496-12, 23008-12)."""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OUTER = {b"jp2h": 0, b"meta": 4}
"""Names of boxes that hold others, and how many bytes are before these."""

EXIF_ITEM, IN_FILE, IN_DATA_BOX = b"Exif", 0, 1


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
