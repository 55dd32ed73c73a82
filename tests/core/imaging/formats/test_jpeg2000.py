"""JPEG 2000: what its boxes hold, and its bits, of which Pillow tells nothing."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from autodir_core.errors import InputError
from autodir_core.imaging.files import read_picture, write_picture
from autodir_core.imaging.formats.jpeg2000 import EXIF_BOX, IPTC_BOX, XMP_BOX
from autodir_core.imaging.formats.tags import Value, encode_block
from autodir_core.imaging.layout import to_uint16
from tests.core.imaging.formats.test_metadata import IPTC, PIXELS, XMP
from tests.core.imaging.formats.test_tags import PHOTO, photo_of
from tests.core.imaging.test_files import swapped_primaries

pytestmark = pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def saved(path: Path, pixels: np.ndarray, *boxes: bytes) -> Path:
    """A lossless file with boxes behind its header, one of them with its length in eight bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG2000", irreversible=False, no_jp2=False)
    content = buffer.getvalue()
    start = content.index(b"jp2c") - 4
    long = struct.pack(">I4sQ", 1, b"free", 20) + bytes(4)
    path.write_bytes(content[:start] + long + b"".join(boxes) + content[start:])
    return path


def test_what_other_standards_describe_is_kept(tmp_path: Path) -> None:
    exif = encode_block(PHOTO | {0x0112: Value(3, b"\6\0")})
    boxes = (box(b"uuid", EXIF_BOX + exif), box(b"uuid", XMP_BOX + XMP), box(b"uuid", IPTC_BOX + IPTC))
    picture = read_picture(saved(tmp_path / "a.jp2", PIXELS, *boxes))
    assert picture.image.shape == (1, 32, 24, 3) and picture.format == "JPEG2000"
    assert picture.metadata.xmp == XMP.replace(b'"6"', b'"1"') and picture.metadata.iptc == IPTC
    write_picture(tmp_path / "b.tif", picture.image, metadata=picture.metadata)
    assert photo_of(tmp_path / "b.tif") == PHOTO


def test_an_xml_box_may_hold_xmp(tmp_path: Path) -> None:
    assert read_picture(saved(tmp_path / "a.jp2", PIXELS, box(b"xml ", XMP))).metadata.xmp == XMP.replace(b"6", b"1")
    assert read_picture(saved(tmp_path / "a.jp2", PIXELS, box(b"xml ", b"<gml/>"))).metadata.xmp == b""


def test_a_color_profile_is_applied(tmp_path: Path) -> None:
    red = np.zeros((24, 32, 3), np.uint8)
    red[..., 0] = 255
    path = saved(tmp_path / "a.jp2", red, box(b"colr", b"\2\0\0" + swapped_primaries()))
    assert read_picture(path).image[0, 0, 0].numpy() == pytest.approx((0, 1, 0), abs=0.02)


@pytest.mark.parametrize("length", [8, 20, 2**31])
def test_a_broken_box_costs_no_pixels(tmp_path: Path, length: int) -> None:
    path = saved(tmp_path / "a.jp2", PIXELS)
    path.write_bytes(path.read_bytes() + struct.pack(">I4s", length, b"uuid") + b"1234567")
    assert np.array_equal(np.rint(read_picture(path).image[0].numpy() * 255), PIXELS)


def deep(path: Path, channels: int) -> np.ndarray:
    """Write 16 bits by OpenCV, the lightest among them; return what was written, red first."""
    cv2 = pytest.importorskip("cv2")
    levels = np.random.default_rng(0).integers(0, 65536, (64, 80, channels)).astype(np.uint16)
    levels[:8] = 65535
    done, content = cv2.imencode(".jp2", levels, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    path.write_bytes(content.tobytes())
    return levels[..., [2, 1, 0, 3][:channels]] if done else levels[:0]


@pytest.mark.parametrize("channels", [3, 4])
def test_color_of_16_bits_keeps_them_and_its_lightest_values(tmp_path: Path, channels: int) -> None:
    levels = deep(tmp_path / "a.jp2", channels)
    picture = read_picture(tmp_path / "a.jp2")
    difference = np.abs(to_uint16(picture.image[0]).astype(int) - levels[..., :3])
    assert picture.depth == 16 and difference.mean() < 64 and picture.image[0, :4].min() > 0.9
    assert (picture.alpha is None) == (channels == 3)


def test_a_bare_codestream_tells_its_bits_too(tmp_path: Path) -> None:
    deep(tmp_path / "a.jp2", 3)
    content = (tmp_path / "a.jp2").read_bytes()
    (tmp_path / "a.j2k").write_bytes(content[content.index(b"\xff\x4f\xff\x51") :])
    assert read_picture(tmp_path / "a.j2k").depth == 16


def test_without_opencv_deep_color_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep(tmp_path / "a.jp2", 3)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"a\.jp2 has more than 8 bits a channel: .* opencv.*, or convert the picture"):
        read_picture(tmp_path / "a.jp2")
