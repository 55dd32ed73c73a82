"""What JPEG 2000 files hold besides pixels (ISO/IEC 15444-1), and of how many bits these are; Pillow tells neither."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, PackageError
from ...optional_imports import optional_import
from .containers import Box, read_boxes
from .metadata import PHOTOSHOP_IPTC
from .samples import Samples, turn_upright

CODESTREAM, CHANNELS_AT, MAX_CHANNELS = b"\xff\x4f\xff\x51", 40, 16384
CODESTREAM_HEAD = CHANNELS_AT + 2 + 3 * MAX_CHANNELS
EXIF_BOX = b"JpgTiffExif->JP2"
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
IPTC_BOX = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
"""What boxes called "uuid" begin with, each for what another standard describes."""

ICC_METHODS, ICC_AT = (b"\2", b"\3"), 3


def read_deep_color(path: Path, info: dict[Any, Any], orientation: int) -> Samples:
    """Return what an intact file of color above 8 bits holds; arguments as of `png.read_deep_png`.

    OpenCV reads it, because Pillow rounds the brightest values up to one too many, which is black. InputError where
    OpenCV is missing or does not know the file.
    """
    levels, bits = _decode(path), info["bit_depth"]
    if levels is None or levels.ndim != 3 or levels.dtype != np.uint16:
        raise InputError(f"{path} is a JPEG 2000 file of a kind that is not read; convert it to PNG or TIFF")
    whole = (levels.astype(np.uint32) * 65535 // (2**bits - 1)).astype(np.uint16)
    upright = turn_upright(whole, orientation)
    return Samples(upright[..., 2::-1], upright[..., 3] if upright.shape[-1] > 3 else None, False, info, "JPEG2000")


def _decode(path: Path) -> np.ndarray | None:
    """Return the levels of a file, blue first; None of one that OpenCV does not know."""
    try:
        with optional_import("cv2", "convert the picture to PNG or TIFF"):
            import cv2
    except PackageError as error:
        raise InputError(f"{path} has more than 8 bits a channel: {error}") from error
    try:
        return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def read_info(path: Path) -> dict[Any, Any]:
    """Return what `Image.info` would hold, and as "bit_depth" the bits of the channel that has most."""
    info: dict[Any, Any] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        bare = [Box(b"jp2c", 0, len(content))] if content[:4] == CODESTREAM else None
        for name, start, end in bare or read_boxes(content, 0, len(content)):
            length = CODESTREAM_HEAD if name == b"jp2c" else end - start
            info |= _describe_box(name, content[start : min(end, start + length)])
    return info


def _describe_box(name: bytes, body: bytes) -> dict[Any, Any]:
    kind, content = body[:16], body[16:]
    if name == b"uuid" and kind in (EXIF_BOX, XMP_BOX):
        return {"exif" if kind == EXIF_BOX else "xmp": content}
    if name == b"uuid" and kind == IPTC_BOX:
        return {"photoshop": {PHOTOSHOP_IPTC: content}}
    if name == b"xml " and b"<x:xmpmeta" in body:
        return {"xmp": body}
    if name == b"colr" and body[:1] in ICC_METHODS:
        return {"icc_profile": body[ICC_AT:]}
    if name == b"jp2c" and len(body) > CHANNELS_AT + 2:
        depths = body[CHANNELS_AT + 2 :: 3][: int.from_bytes(body[CHANNELS_AT : CHANNELS_AT + 2], "big")]
        return {"bit_depth": 1 + max(depth & 0x7F for depth in depths)} if depths else {}
    return {}
