"""PNG files (ISO/IEC 15948): chunks, texts, and color of 16 bits, which Pillow reads as 8 bits and does not write."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .samples import Samples, turn_upright

PNG_START, PNG_TEXTS, PNG_XMP = b"\x89PNG\r\n\x1a\n", (b"tEXt", b"zTXt", b"iTXt"), b"XML:com.adobe.xmp"
RAW_PROFILE = "Raw profile type "
"""How a text is named in which ImageMagick and ExifTool keep what is no text: name, length and hexadecimal digits."""

RAW_NAMES = ("exif", "xmp", "APP1", "iptc", "8bim", "icc", "icm")
"""The names that go on so and are known here."""

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""By PNG's numbers of gray, RGB, and both with alpha."""

WHOLE = ((0, 0, 1, 1),)
INTERLACED = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""The passes that a file stores its pixels in: of each the first column and row, and the steps to the next ones."""

COLOR_TYPES = {channels: number for number, channels in CHANNELS.items()}

SUB = 1
"""The filter that leaves of each byte its difference to that of the pixel before."""

LEVEL = 3
"""Of zlib: the low bytes of photographs hardly shrink, whatever time is spent on them."""


def read_deep_png(path: Path, info: dict[Any, Any], orientation: int) -> Samples:
    """Return what an intact PNG file of 16-bit colors holds.

    Args:
        path: of the file.
        info: what Pillow has of it.
        orientation: EXIF's, 1..8.
    """
    chunks = [(kind, whole[8:-4]) for kind, whole in png_chunks(path.read_bytes())]
    width, height, _, color_type, _, _, interlaced = struct.unpack(">IIBBBBB", dict(chunks)[b"IHDR"])
    levels = np.empty((height, width, CHANNELS[color_type]), np.uint16)
    packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
    room = 2 * height + len(INTERLACED)  # for the filters of all rows
    _fill(levels, zlib.decompressobj().decompress(packed, levels.nbytes + room), INTERLACED if interlaced else WHOLE)
    levels = turn_upright(levels, orientation)
    colors = levels.shape[-1] - (levels.shape[-1] % 2 == 0)
    return Samples(levels[..., :colors], levels[..., -1] if colors < levels.shape[-1] else None, False, info, "PNG")


def _fill(levels: np.ndarray, content: bytes, passes: tuple[tuple[int, int, int, int], ...]) -> None:
    """Set [H, W, C] to the content of a file, unpacked, pass by pass."""
    start = 0
    for x, y, across, down in passes:
        part = levels[y::down, x::across]
        rows, columns, channels = part.shape
        if part.size:
            length = rows * (1 + 2 * channels * columns)
            filtered = np.frombuffer(content, np.uint8, length, start).reshape(rows, -1)
            pixels = unfilter(filtered[:, 0], filtered[:, 1:].reshape(rows, columns, 2 * channels))
            part[:] = pixels.view(">u2")
            start += length


def unfilter(filters: np.ndarray, filtered: np.ndarray) -> np.ndarray:
    """Return the bytes [H, W, B] of pixels from the filter of each row, 0..4, and its filtered bytes.

    A byte follows from those at the left, above, and above at the left, so all that lie on one diagonal, each row one
    pixel behind the row above, are found at once.
    """
    height, width, count = filtered.shape
    whole = np.zeros((height + 1, width + 1, count), np.int16)  # with a row and a column of zeros before it
    kinds = filters[:, None].astype(np.intp)
    for at in range(width + height - 1):
        rows = np.arange(max(at - width + 1, 0), min(at + 1, height))
        columns = at - rows
        left, up, corner = whole[rows + 1, columns], whole[rows, columns + 1], whole[rows, columns]
        guesses = np.stack([np.zeros_like(left), left, up, (left + up) // 2, paeth(left, up, corner)])
        guess = np.take_along_axis(guesses, kinds[None, rows], axis=0)[0]
        whole[rows + 1, columns + 1] = (filtered[rows, columns] + guess) & 0xFF
    return np.ascontiguousarray(whole[1:, 1:].astype(np.uint8))


def paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Return of each three bytes the one that is nearest to left + up - corner, in this order where two are as near."""
    by_left, by_up, by_corner = np.abs(up - corner), np.abs(left - corner), np.abs(left + up - 2 * corner)
    return np.where((by_left <= by_up) & (by_left <= by_corner), left, np.where(by_up <= by_corner, up, corner))


def replace_pixels(content: bytes, levels: np.ndarray) -> bytes:
    """Return a PNG file of 8 bits with other pixels, uint16 [H, W, 1 to 4]; all else that it holds stays."""
    height, width, channels = levels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[channels], 0, 0, 0)
    new = {b"IHDR": header, b"IDAT": zlib.compress(filter_rows(levels), LEVEL)}
    return PNG_START + b"".join(replaced(content, new))


def replaced(content: bytes, new: dict[bytes, bytes]) -> Iterator[bytes]:
    """Yield the chunks of a PNG file, the first of each kind in `new` with that content, further ones left out."""
    left = dict(new)
    for kind, whole in png_chunks(content):
        if kind not in new:
            yield whole
        elif kind in left:
            body = left.pop(kind)
            yield struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def filter_rows(levels: np.ndarray) -> bytes:
    """Return the bytes that a PNG file compresses: each row's filter and its filtered bytes."""
    height, _, channels = levels.shape
    rows = np.ascontiguousarray(levels.astype(">u2")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0], filtered[:, 1:] = SUB, rows
    filtered[:, 1 + 2 * channels :] -= rows[:, : -2 * channels]
    return filtered.tobytes()


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file: kind, and all of it with its length and its check sum."""
    at = len(PNG_START)
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        yield content[at + 4 : at + 8], content[at : at + 12 + length]
        at += 12 + length


def read_texts(path: Path, known: Collection[str]) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the text chunks of a PNG file, not unpacked, but XMP and the raw profiles `known`."""
    passed_over = (PNG_XMP, *((RAW_PROFILE + name).encode() + b"\0" for name in known))
    with path.open("rb") as file:
        file.seek(len(PNG_START))
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            content = file.read(length) if kind in PNG_TEXTS else b""
            if content and not content.startswith(passed_over):
                yield kind, content
            file.seek(4 + length - len(content), io.SEEK_CUR)


def raw_profiles(info: dict[Any, Any]) -> dict[str, bytes]:
    """Return by their names the raw profiles that can be unpacked among the texts in `Image.info`."""
    found: dict[str, bytes] = {}
    for name in RAW_NAMES:
        with suppress(ValueError, LookupError):
            found[name] = bytes.fromhex(info[RAW_PROFILE + name].split("\n", 3)[3])
    return found
