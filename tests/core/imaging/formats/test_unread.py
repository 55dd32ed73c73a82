"""Levels that are reduced without being read are told."""

from __future__ import annotations

import base64

import pytest
from PIL import Image, features

from autodir_core.imaging.files import read_picture

RED_OF_10_BITS = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAAD5bWV0YQAAAAAAAAAvaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA"
    "AFBpY3R1cmVIYW5kbGVyAAAAAA5waXRtAAAAAAABAAAAHmlsb2MAAAAARAAAAQABAAAAAQAAASEAAAAdAAAAKGlpbmYAAAAAAAEA"
    "AAAaaW5mZQIAAAAAAQAAYXYwMUNvbG9yAAAAAGppcHJwAAAAS2lwY28AAAAUaXNwZQAAAAAAAAAQAAAAEAAAABBwaXhpAAAAAAMK"
    "CgoAAAAMYXYxQ4EATAAAAAATY29scm5jbHgAAgACAAIAAAAAF2lwbWEAAAAAAAAAAQABBAECgwQAAAAlbWRhdAoGGAz/24CAMhMY"
    "AAAAUAAAAACpjmy2qrHGtoVA"
)
"""An AVIF file of 16 x 16 red pixels, made with ffmpeg and libaom."""

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF files")


def test_avif_of_more_than_8_bits_is_told(tmp_path, caplog):
    path = tmp_path / "deep.avif"
    path.write_bytes(RED_OF_10_BITS)
    picture = read_picture(path)
    assert picture.depth == 8 and picture.image[0, 8, 8].tolist() == pytest.approx([1, 0, 0], abs=0.02)
    assert "deep.avif: its colors, of more than 8 bits, are read as 8 bits" in caplog.text


def test_avif_of_8_bits_is_not(tmp_path, caplog):
    Image.new("RGB", (16, 16), "red").save(tmp_path / "usual.avif")
    read_picture(tmp_path / "usual.avif")
    assert not caplog.text
