"""AVIF: what its EXIF block says reaches the result as it is stored, and its pixels are turned once."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from autodir_core.imaging.files import read_picture
from autodir_core.imaging.formats.boxes import IN_DATA_BOX, IN_FILE, locate_item, read_exif_item
from autodir_core.imaging.formats.exif import ORIENTATION, exif_tags
from autodir_core.imaging.formats.tags import Value
from tests.core.imaging.formats.test_jpeg2000 import box

ARTIST, OTHER, NAME = 0x013B, 0x0107, "Zoë Müller"
UPRIGHT = {1: 0, 6: -1, 8: 1}
"""Quarters of a turn to the left, by the orientation."""


def saved(path: Path, pixels: np.ndarray, turned: int, told: int) -> Path:
    """A file that is turned by its own boxes, and says perhaps otherwise in EXIF; Pillow writes neither that nor é."""
    stand_in = "_" * len(NAME.encode())
    exif = Image.Exif()
    exif.update({ORIENTATION: turned, OTHER: told, ARTIST: stand_in})
    Image.fromarray(pixels).save(path, exif=exif)
    entry = struct.pack(">HHI", OTHER, 3, 1), struct.pack(">HHI", ORIENTATION, 3, 1)
    path.write_bytes(path.read_bytes().replace(*entry).replace(stand_in.encode(), NAME.encode()))
    return path


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF files")
@pytest.mark.parametrize("told", UPRIGHT)
@pytest.mark.parametrize("turned", UPRIGHT)
def test_texts_are_kept_and_the_boxes_alone_turn(tmp_path, caplog, turned, told) -> None:
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:16, :24] = 255
    picture = read_picture(saved(tmp_path / "a.avif", pixels, turned, told))
    seen = np.rot90(pixels, UPRIGHT[turned])
    assert picture.image[0].numpy() == pytest.approx(seen / 255, abs=0.1)
    tags = exif_tags(picture.metadata.exif)
    assert tags[ARTIST] == Value(2, NAME.encode() + b"\0") and not caplog.text
    assert isinstance(tags[ORIENTATION], Value) and tags[ORIENTATION].content[:1] == b"\1"


def full(version: int, body: bytes) -> bytes:
    return bytes([version, 0, 0, 0]) + body


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (full(0, struct.pack(">HHHHHIIIIHHHII", 0x4400, 2, 7, 0, 2, 1, 1, 2, 2, 9, 0, 1, 40, 5)), (IN_FILE, 40, 5)),
        (full(1, struct.pack(">HHHHHIHQII", 0x4448, 1, 9, 1, 0, 30, 1, 0, 40, 5)), (IN_DATA_BOX, 70, 5)),
        (full(2, struct.pack(">HIIHHHII", 0x4400, 1, 9, 0, 0, 1, 40, 5)), (IN_FILE, 40, 5)),
    ],
)
def test_every_version_of_places(places, expected) -> None:
    assert locate_item(places, 9) == expected
    with pytest.raises(LookupError):
        locate_item(places, 7)


def test_an_item_in_the_data_box(tmp_path) -> None:
    """And with numbers of 32 bits, as few programs write it."""
    entry = box(b"infe", full(3, struct.pack(">IH4s", 9, 0, b"Exif") + b"\0"))
    places = full(2, struct.pack(">HIIHHHII", 0x4400, 1, 9, 1, 0, 1, 3, 10))
    parts = box(b"iinf", full(1, struct.pack(">I", 1) + entry)) + box(b"iloc", places)
    meta = box(b"meta", full(0, parts + box(b"idat", b"..." + struct.pack(">I", 0) + b"II*\0ab")))
    (tmp_path / "a.avif").write_bytes(box(b"ftyp", b"avif" + bytes(8)) + meta)
    assert read_exif_item(tmp_path / "a.avif") == b"II*\0ab"
