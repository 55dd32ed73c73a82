"""Directories of TIFF files and of EXIF blocks, which are built alike: values stay as they are stored, texts too."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Of a TIFF file, and of one that may have more than 4 GB."""

EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
NESTED = {0: (EXIF, GPS), EXIF: (INTEROPERABILITY,)}
"""The tags that lead to a directory of their own, by that of the directory they stand in, 0 for the first."""

BYTE, SHORT, LONG, RATIONAL, UNDEFINED = 1, 3, 4, 5, 7
TYPE_BYTES = {BYTE: 1, 2: 1, SHORT: 2, LONG: 4, RATIONAL: 8, 6: 1, UNDEFINED: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value, by the number of its type."""

LARGE_TYPES = {16: 8, 17: 8, 18: 8}
"""Types that only a file which may have more than 4 GB knows."""

UNICODE = b"UNICODE\0"
"""What a comment in UTF-16 begins with, its letters in the order of the file's numbers."""

RATIONALS = (RATIONAL, 10)
"""Types of two numbers each."""

CLASSIC, LARGE = ("H", "HHI", "I"), ("Q", "HHQ", "Q")
"""How a directory stores the number of its entries, an entry, and the place of a value that has no room in it."""

NEW_SUBFILE_TYPE, REDUCED, MASK = 254, 1, 4
"""The tag that says what a picture of a TIFF file is to another, and the bits of its lowest byte that say so."""

RESOLUTIONS, RESOLUTION_UNIT, PER_INCH, PER_CENTIMETER = (282, 283), 296, 2, 3
MAX_DENOMINATOR = 10000


@dataclass(frozen=True)
class Value:
    """What a tag holds: the number of its type, and its bytes, of numbers the lowest first."""

    kind: int
    content: bytes


Directory: TypeAlias = "dict[int, Value | Directory]"
"""What tags hold, by their numbers."""


def read_file(path: Path) -> Directory:
    """Return the first directory of a TIFF file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return read_directory(content)


def count_pages(path: Path) -> int:
    """Return how many pictures a TIFF file has one after the other; a reduced copy or a mask of one is none."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        starts = list(_directory_starts(content))
        return len(starts[:1]) + sum(not _is_of_another(content, start) for start in starts[1:])


def _directory_starts(content: mmap.mmap) -> Iterator[int]:
    """Yield where the directories of a file stand, up to one that is cut off or was there before."""
    order, (number, entry, place) = byte_order(content), LARGE if is_large(content) else CLASSIC
    seen = set[int]()
    with suppress(struct.error, OverflowError):
        start = directory_start(content)
        while start and start not in seen:
            (count,) = struct.unpack_from(order + number, content, start)
            seen.add(start)
            yield start
            after = start + struct.calcsize(order + number) + count * struct.calcsize(order + entry + place)
            (start,) = struct.unpack_from(order + place, content, after)


def _is_of_another(content: mmap.mmap, start: int) -> bool:
    kinds = (value.content[0] for tag, value in _read_values(content, start) if tag == NEW_SUBFILE_TYPE)
    return bool(next(kinds, 0) & (REDUCED | MASK))


def read_directory(content: bytes | mmap.mmap, start: int | None = None, parent: int = 0) -> Directory:
    """Return a directory, by default the first one, with those nested in it; what is cut off is left out."""
    found: Directory = {}
    for tag, value in _read_values(content, directory_start(content) if start is None else start):
        if any(tag in nested for nested in NESTED.values()):
            with suppress(struct.error, OverflowError):
                if tag in NESTED.get(parent, ()):
                    found[tag] = read_directory(content, int.from_bytes(value.content, "little"), tag)
        elif value.kind in TYPE_BYTES:
            found[tag] = value
    return found


def _read_values(content: bytes | mmap.mmap, start: int) -> Iterator[tuple[int, Value]]:
    order, (head, entry, place) = byte_order(content), LARGE if is_large(content) else CLASSIC
    (count,) = struct.unpack_from(order + head, content, start)
    first, room = start + struct.calcsize(order + head), struct.calcsize(order + place)
    step = struct.calcsize(order + entry) + room
    for end in range(first + step, min(first + step * count, len(content)) + 1, step):
        tag, kind, values = struct.unpack_from(order + entry, content, end - step)
        length, at = values * (TYPE_BYTES | LARGE_TYPES).get(kind, 0), end - room
        if length > room:
            (at,) = struct.unpack_from(order + place, content, at)
        if len(stored := content[at : at + length]) == length > 0:
            yield tag, Value(kind, _reorder(stored, kind, order))


def _reorder(content: bytes, kind: int, order: str) -> bytes:
    """Convert the numbers of a value between the order of a file and that of `Value`."""
    if kind == UNDEFINED and content.startswith(UNICODE) and len(content) % 2 == 0:
        return UNICODE + _reorder(content[len(UNICODE) :], SHORT, order)
    size = (TYPE_BYTES | LARGE_TYPES)[kind] // (1 + (kind in RATIONALS))
    return content if order == "<" else np.frombuffer(content, f"u{size}").byteswap().tobytes()


def encode_directory(directory: Directory, start: int, order: str) -> bytes:
    """Return a directory that will stand at `start` of a classic file, its values and those nested in it behind it."""
    entries, values, after = b"", b"", start + 2 + 12 * len(directory) + 4
    for tag, value in sorted(directory.items()):
        at, more = after + len(values), b""
        if isinstance(value, dict):
            kind, count, stored, more = LONG, 1, struct.pack(order + "I", at), encode_directory(value, at, order)
        else:
            kind, count = value.kind, len(value.content) // TYPE_BYTES[value.kind]
            stored = _reorder(value.content, kind, order)
            if len(stored) > 4:
                stored, more = struct.pack(order + "I", at), stored + bytes(len(stored) % 2)
        entries += struct.pack(order + "HHI", tag, kind, count) + stored.ljust(4, b"\0")
        values += more
    return struct.pack(order + "H", len(directory)) + entries + bytes(4) + values


def encode_block(directory: Directory) -> bytes:
    """Return a block of its own, without pixels."""
    return STARTS[0] + struct.pack("<I", 8) + encode_directory(directory, 8, "<")


def add_tags(content: bytes, tags: Directory) -> bytes:
    """Add tags to a classic TIFF file or an EXIF block by a new directory at its end; what it has itself stays.

    Pillow loses the directories of Exif and GPS where it compresses, and what texts have beyond ASCII.
    """
    whole = content + bytes(len(content) % 2)
    start = len(whole)
    whole += encode_directory(tags, start, byte_order(content))
    return append_directory(whole, read_entries(whole, start) | read_entries(whole, directory_start(content)))


def describe_resolution(dpi: tuple[float, float]) -> Directory:
    """Return the tags of a resolution in pixels per inch."""
    rationals = (Fraction(value).limit_denominator(MAX_DENOMINATOR).as_integer_ratio() for value in dpi)
    tags: Directory = {RESOLUTION_UNIT: Value(SHORT, struct.pack("<H", PER_INCH))}
    for tag, rational in zip(RESOLUTIONS, rationals, strict=True):
        tags[tag] = Value(RATIONAL, struct.pack("<II", *rational))
    return tags


def find_resolution(tags: Directory) -> tuple[float, ...]:
    """Return pixels per inch, horizontal and vertical; nothing where a directory does not tell both."""
    values = [tags.get(tag) for tag in RESOLUTIONS]
    if not all(isinstance(value, Value) and (value.kind, len(value.content)) == (RATIONAL, 8) for value in values):
        return ()
    unit = tags.get(RESOLUTION_UNIT)
    number = unit.content[0] if isinstance(unit, Value) else PER_INCH
    per_inch = {PER_INCH: 1.0, PER_CENTIMETER: 2.54}.get(number, 0)
    pairs = (struct.unpack("<II", value.content) for value in values if isinstance(value, Value))
    return tuple(per_inch * top / (bottom or 1) for top, bottom in pairs)


def is_large(content: bytes | mmap.mmap) -> bool:
    return b"+" in content[:4]


def byte_order(content: bytes | mmap.mmap) -> str:
    return "<" if content[:2] == b"II" else ">"


def directory_start(content: bytes | mmap.mmap) -> int:
    place, at = ("Q", 8) if is_large(content) else ("I", 4)
    return struct.unpack_from(byte_order(content) + place, content, at)[0]


def read_entries(content: bytes, start: int) -> dict[int, bytes]:
    """Return the entries of a directory of a classic file by tag, with their values or the places of those."""
    order = byte_order(content)
    (count,) = struct.unpack_from(order + "H", content, start)
    entries = (content[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12))
    return {struct.unpack(order + "H", entry[:2])[0]: entry for entry in entries}


def append_directory(content: bytes, entries: Mapping[int, bytes]) -> bytes:
    """Return a file that has these entries as its only directory, at the end."""
    order, padded = byte_order(content), content + bytes(len(content) % 2)
    start, count = struct.pack(order + "I", len(padded)), struct.pack(order + "H", len(entries))
    return padded[:4] + start + padded[8:] + count + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
