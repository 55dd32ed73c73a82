"""TIFF files of samples that Pillow has no mode for, or gives in fewer bits."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from .samples import BITS, Samples, turn_upright
from .tags import (
    RESOLUTION_UNIT,
    RESOLUTIONS,
    STARTS,
    append_directory,
    directory_start,
    find_resolution,
    is_large,
    read_directory,
    read_entries,
)

WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES = 256, 257, 259, 262, 274, 277
STRIP_OFFSETS, STRIP_HEIGHT, STRIP_LENGTHS = 273, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_LENGTHS = 322, 323, 324, 325
PLANAR, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT, XMP, ICC_PROFILE = 284, 317, 338, 339, 700, 34675
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3}
UNCOMPRESSED, SEPARATE_PLANES, DIFFERENCES, FLOAT_DIFFERENCES = 1, 2, 2, 3
PREMULTIPLIED_ALPHA, ALPHA, MAX_SAMPLES = 1, 2, 16
FILL_ORDER, FAX_OPTIONS, COLOR_MAP, JPEG_TABLES, YCBCR = 266, (292, 293), 320, 347, (529, 530, 531, 532)
NEEDED = frozenset(
    {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES, STRIP_OFFSETS, STRIP_HEIGHT, STRIP_LENGTHS}
    | {TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_LENGTHS, PLANAR, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT, XMP}
    | {ICC_PROFILE, *RESOLUTIONS, RESOLUTION_UNIT, FILL_ORDER, *FAX_OPTIONS, COLOR_MAP, JPEG_TABLES, *YCBCR}
)
KINDS = {1: "u", 2: "i", 3: "f"}
"""NumPy's kinds of numbers by the values of the tag SampleFormat."""


def is_tiff(path: Path) -> bool:
    """Return whether a file begins like a TIFF file."""
    with path.open("rb") as file:
        return file.read(len(STARTS[0])) in STARTS


def read_samples(path: Path) -> Samples | None:
    """Read a TIFF file of gray or RGB whose samples have 8 to 64 bits, integer or float; None for any other file.

    Raises whatever NumPy and Pillow raise where it is damaged.
    """
    if not is_tiff(path):
        return None
    content = strip_tags(path.read_bytes())
    tags = _load_tags(content)
    dtype, colors = _sample_type(tags), COLORS.get(tags.get(PHOTOMETRIC, -1))
    if dtype is None or colors is None or not colors <= tags.get(SAMPLES, 1) <= MAX_SAMPLES:
        return None
    samples = turn_upright(_read_pixels(content, tags, dtype), tags.get(ORIENTATION, 1))
    color, extra = samples[..., :colors], (*tags.get(EXTRA_SAMPLES, ()), 0)[0]
    if tags[PHOTOMETRIC] == WHITE_IS_ZERO and dtype.kind in "ui":
        color = np.iinfo(dtype).max - color.clip(min=0)
    has_alpha = samples.shape[-1] > colors and extra in (PREMULTIPLIED_ALPHA, ALPHA)
    info = {"xmp": tags.get(XMP), "icc_profile": tags.get(ICC_PROFILE)}
    info["dpi"] = find_resolution(read_directory(content)) or (0, 0)
    return Samples(color, samples[..., colors] if has_alpha else None, extra == PREMULTIPLIED_ALPHA, info, "TIFF")


def _load_tags(content: bytes) -> ImageFileDirectory_v2:
    tags = ImageFileDirectory_v2(content[: 16 if is_large(content) else 8])
    file = io.BytesIO(content)
    file.seek(tags.next)
    tags.load(file)
    return tags


def _sample_type(tags: ImageFileDirectory_v2) -> np.dtype[Any] | None:
    """Return the type of all samples as it is stored; None where they differ or NumPy has none.

    None too where the bits of each byte are reversed, which Pillow sets right where it has the mode.
    """
    if tags.get(FILL_ORDER, 1) != 1:
        return None
    bits, kinds = set(tags.get(BITS, (1,))), set(tags.get(SAMPLE_FORMAT, (1,)))
    try:
        ((bits,), (kind,)) = bits, kinds
        order = "<" if tags.prefix == b"II" else ">"
        return np.dtype(f"{order}{KINDS[kind]}{bits // 8}") if bits in (8, 16, 32, 64) else None
    except (ValueError, KeyError, TypeError):
        return None


def _read_pixels(content: bytes, tags: ImageFileDirectory_v2, dtype: np.dtype[Any]) -> np.ndarray:
    """Return all samples [H, W, C], of strips or tiles, interleaved or in planes."""
    width, height, samples = tags[WIDTH], tags[HEIGHT], tags.get(SAMPLES, 1)
    if width * height > 2 * (Image.MAX_IMAGE_PIXELS or width * height):
        raise Image.DecompressionBombError
    planes = samples if tags.get(PLANAR) == SEPARATE_PLANES else 1
    tiled = TILE_OFFSETS in tags
    across, down = (
        (tags[TILE_WIDTH], tags[TILE_HEIGHT]) if tiled else (width, min(tags.get(STRIP_HEIGHT, height), height))
    )
    offsets, lengths = (tags[TILE_OFFSETS], tags[TILE_LENGTHS]) if tiled else (tags[STRIP_OFFSETS], tags[STRIP_LENGTHS])
    places = ((p, y, x) for p in range(planes) for y in range(0, height, down) for x in range(0, width, across))
    pixels = np.empty((planes, height, width, samples // planes), dtype.newbyteorder("="))
    for (plane, y, x), offset, length in zip(places, offsets, lengths, strict=True):
        rows = down if tiled else min(down, height - y)
        shape = rows, across, samples // planes
        part = _decode(content[offset : offset + length], shape, dtype, tags)
        pixels[plane, y : y + rows, x : x + across] = part[: height - y, : width - x]
    return pixels[0] if planes == 1 else pixels[..., 0].transpose(1, 2, 0)


def _decode(
    content: bytes, shape: tuple[int, int, int], dtype: np.dtype[Any], tags: ImageFileDirectory_v2
) -> np.ndarray:
    """Return the samples [h, w, C] of one strip or tile."""
    rows, columns, samples = shape
    length = columns * samples * dtype.itemsize
    if (compression := tags.get(COMPRESSION, UNCOMPRESSED)) != UNCOMPRESSED:
        content = _decompress(content, rows, length, compression)
    predictor = tags.get(PREDICTOR, 1)
    if predictor == FLOAT_DIFFERENCES:  # of the bytes of a row, all first bytes before all second ones
        parts = np.frombuffer(content, np.uint8, rows * length).reshape(rows, -1, samples).cumsum(1, dtype=np.uint8)
        parts = parts.reshape(rows, dtype.itemsize, -1).transpose(0, 2, 1)
        return np.ascontiguousarray(parts).view(dtype.newbyteorder(">")).reshape(shape)
    values = np.frombuffer(content, dtype, rows * columns * samples).reshape(shape)
    if predictor == DIFFERENCES:
        integers = values.astype(values.dtype.newbyteorder("=")).view(f"u{dtype.itemsize}")
        return integers.cumsum(1, dtype=integers.dtype).view(dtype.newbyteorder("="))
    return values


def _decompress(content: bytes, rows: int, length: int, compression: int) -> bytes:
    """Return the bytes of a strip, which libtiff unpacks as gray of 8 bits: its compressions know no samples."""
    tags = ImageFileDirectory_v2()
    tags[WIDTH], tags[HEIGHT], tags[BITS], tags[COMPRESSION], tags[PHOTOMETRIC] = length, rows, 8, compression, 1
    tags[STRIP_OFFSETS], tags[SAMPLES], tags[STRIP_HEIGHT], tags[STRIP_LENGTHS] = 0, 1, rows, len(content)
    file = io.BytesIO()
    tags.save(file)  # which counts the offset from the end of the tags
    file.write(content)
    file.seek(0)
    with TiffImageFile(file) as image:
        return image.tobytes()


def strip_tags(content: bytes) -> bytes:
    """Return a classic TIFF file with no tags but those that its pixels need; one above 4 GB as it is."""
    if is_large(content):
        return content
    entries = read_entries(content, directory_start(content))
    return append_directory(content, {tag: entry for tag, entry in entries.items() if tag in NEEDED})
