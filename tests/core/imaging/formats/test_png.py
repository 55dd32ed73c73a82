"""PNG files of 16 bits a channel: every filter, alpha and gray, against the high bytes that Pillow gives."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autodir_core.imaging.files import read_picture
from autodir_core.imaging.formats.png import CHANNELS, INTERLACED, WHOLE, paeth
from autodir_core.imaging.layout import to_uint16


def filtered(levels: np.ndarray, filters: list[int]) -> bytes:
    height, width, channels = levels.shape
    whole = np.zeros((height + 1, width + 1, 2 * channels), np.int16)
    whole[1:, 1:] = np.ascontiguousarray(levels.astype(">u2")).view(np.uint8).reshape(height, width, -1)
    left, up, corner = whole[1:, :-1], whole[:-1, 1:], whole[:-1, :-1]
    guesses = (np.zeros_like(left), left, up, (left + up) // 2, paeth(left, up, corner))
    rows = ((whole[1:, 1:] - guesses[kind])[row] & 0xFF for row, kind in enumerate(filters[:height]))
    return b"".join(bytes([kind]) + row.astype(np.uint8).tobytes() for kind, row in zip(filters, rows, strict=False))


def saved(path: Path, levels: np.ndarray, filters: list[int], color_type: int, interlaced: int = 0) -> Path:
    """Write uint16 [H, W, C], each row with its filter, as the standard describes it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    passes = ((levels[y::down, x::across]) for x, y, across, down in (INTERLACED if interlaced else WHOLE))
    packed = b"".join(filtered(part, filters) for part in passes if part.size)
    height, width = levels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, interlaced)
    body = zlib.compress(packed)
    parts = chunk(b"IDAT", body[:7]) + chunk(b"IDAT", body[7:])
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + parts + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("color_type", [2, 4, 6])
def test_every_filter(tmp_path: Path, color_type: int, interlaced: int) -> None:
    """Pillow decodes the same bytes by its own code, and gives the higher half of each."""
    random, channels = np.random.default_rng(color_type), CHANNELS[color_type]
    levels = random.integers(0, 65536, (24, 17, channels)).astype(np.uint16)
    path = saved(tmp_path / "a.png", levels, [number % 5 for number in range(24)], color_type, interlaced)
    with Image.open(path) as reduced:
        high = np.asarray(reduced.convert({2: "LA", 3: "RGB", 4: "RGBA"}[channels]))
    picture = read_picture(path)
    assert np.array_equal(levels >> 8, high) and picture.depth == 16
    assert np.array_equal(
        to_uint16(picture.image[0]), np.broadcast_to(levels[..., : 3 if channels > 2 else 1], (24, 17, 3))
    )
    assert (picture.alpha is None) == (channels == 3)
    assert picture.alpha is None or np.array_equal(to_uint16(picture.alpha[0]), levels[..., -1])


def test_paeth_takes_the_nearest_and_of_two_the_first() -> None:
    left, up, corner = (np.array(values, np.int16) for values in ([10, 10, 10, 0], [20, 10, 0, 10], [20, 10, 5, 0]))
    assert paeth(left, up, corner).tolist() == [10, 10, 5, 10]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 2), (8, 8)])
def test_passes_without_pixels(tmp_path: Path, size: tuple[int, int]) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (*size, 3)).astype(np.uint16)
    picture = read_picture(saved(tmp_path / "a.png", levels, [4] * 8, 2, interlaced=1))
    assert picture.depth == 16 and np.array_equal(to_uint16(picture.image[0]), levels)
