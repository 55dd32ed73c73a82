"""AVIF, GIF, WebP: what they hold that Pillow does not tell, or not as it is stored."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from autodir_core.imaging.files import read_picture
from autodir_core.imaging.formats.containers import IN_DATA_BOX, IN_FILE, locate_item, read_exif_item
from autodir_core.imaging.formats.exif import ORIENTATION, exif_tags
from autodir_core.imaging.formats.tags import Value, encode_block
from tests.core.imaging.formats.test_jpeg2000 import box
from tests.core.imaging.formats.test_metadata import XMP, copied

ARTIST, OTHER, NAME = 0x013B, 0x0107, "Zoë Müller"
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF files")

RED_OF_10_BITS = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAAD5bWV0YQAAAAAAAAAvaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA"
    "AFBpY3R1cmVIYW5kbGVyAAAAAA5waXRtAAAAAAABAAAAHmlsb2MAAAAARAAAAQABAAAAAQAAASEAAAAdAAAAKGlpbmYAAAAAAAEA"
    "AAAaaW5mZQIAAAAAAQAAYXYwMUNvbG9yAAAAAGppcHJwAAAAS2lwY28AAAAUaXNwZQAAAAAAAAAQAAAAEAAAABBwaXhpAAAAAAMK"
    "CgoAAAAMYXYxQ4EATAAAAAATY29scm5jbHgAAgACAAIAAAAAF2lwbWEAAAAAAAAAAQABBAECgwQAAAAlbWRhdAoGGAz/24CAMhMY"
    "AAAAUAAAAACpjmy2qrHGtoVA"
)
"""An AVIF file of 16 x 16 red pixels, made with ffmpeg and libaom."""

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


@needs_avif
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


@needs_avif
def test_avif_of_more_than_8_bits_is_told(tmp_path, caplog):
    path = tmp_path / "deep.avif"
    path.write_bytes(RED_OF_10_BITS)
    picture = read_picture(path)
    assert picture.depth == 8 and picture.image[0, 8, 8].tolist() == pytest.approx([1, 0, 0], abs=0.02)
    assert "deep.avif: its colors, of more than 8 bits, are read as 8 bits" in caplog.text


@needs_avif
def test_avif_of_8_bits_is_not(tmp_path, caplog):
    Image.new("RGB", (16, 16), "red").save(tmp_path / "usual.avif")
    read_picture(tmp_path / "usual.avif")
    assert not caplog.text


GIF_PACKET = b"\x21\xff\x0bXMP DataXMP" + XMP + b"\1" + bytes(range(255, -1, -1)) + b"\0"


@pytest.mark.parametrize(("comment", "text"), [("Café".encode("latin-1"), "Café"), ("中文".encode(), "中文")])
def test_xmp_and_comment_of_a_gif_go_into_a_png(tmp_path, caplog, comment, text) -> None:
    """Its pixels stay as they are, whatever its XMP says of the camera: no one turns a GIF."""
    Image.new("L", (6, 4)).save(tmp_path / "a.gif", comment=comment)
    content = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(content[:-1] + GIF_PACKET + content[-1:])
    with copied(tmp_path / "a.gif", tmp_path / "b.png") as written:
        assert written.size == (6, 4) and written.text["Comment"] == text
        assert written.info["xmp"] == XMP.replace(b'"6"', b'"1"') and not caplog.text


def test_the_comment_of_a_jpeg_goes_into_a_png(tmp_path, caplog) -> None:
    Image.new("L", (6, 4)).save(tmp_path / "a.jpg", comment=b"a comment")
    with copied(tmp_path / "a.jpg", tmp_path / "b.png") as written:
        assert written.text == {"Comment": "a comment"} and not caplog.text


@pytest.mark.parametrize(
    "more", [{}, {"exif": b"Exif\0\0" + encode_block({ARTIST: Value(2, b"me\0")})}, {"save_all": True}]
)
@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_stays_as_lossless_as_it_is(tmp_path, mode, lossless, more) -> None:
    """With chunks of metadata and of frames too, and the colors under what is transparent."""
    levels = np.random.default_rng(0).integers(0, 256, (32, 24, len(mode))).astype(np.uint8)
    frames = {"append_images": [Image.new(mode, (24, 32))]} if "save_all" in more else {}
    Image.fromarray(levels).save(tmp_path / "a.webp", lossless=lossless, exact=True, **more, **frames)
    colors = read_picture(tmp_path / "a.webp").image[0].numpy()
    with copied(tmp_path / "a.webp", tmp_path / "b.webp") as written:
        is_same = np.array_equal(np.asarray(written)[..., :3], np.rint(255 * (1 - colors)))
    assert is_same == lossless == (b"VP8L" in (tmp_path / "b.webp").read_bytes())
