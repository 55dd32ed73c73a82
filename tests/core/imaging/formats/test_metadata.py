"""What files hold besides pixels: it is kept, upright, and whatever it is, it keeps no one from the pixels."""

from __future__ import annotations

import io
import logging
import random
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, PngImagePlugin

from autodir_core.imaging.files import read_picture, write_picture
from autodir_core.imaging.formats.metadata import Metadata
from autodir_core.imaging.formats.tags import UNDEFINED, Value, add_tags
from tests.core.imaging.test_files import swapped_primaries

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's own words about odd metadata

SHORT, LONG, TEXT, RATIONAL, SIGNED_RATIONAL = 3, 4, 2, 5, 10
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" dc:creator="me"/></x:xmpmeta>'
IPTC = b"\x1c\x02\x50\x00\x02me\x1c\x02\x74\x00\x03(c)"
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def directory(*entries: tuple[int, int, int, bytes], start: int = 8, order: str = "<") -> bytes:
    """A directory of tags, types, counts and values, as Pillow would never write one."""
    place, body, values = start + 2 + 12 * len(entries) + 4, struct.pack(order + "H", len(entries)), b""
    for tag, kind, count, value in entries:
        inline = len(value) <= 4
        body += struct.pack(order + "HHI", tag, kind, count) + (
            value.ljust(4, b"\0") if inline else struct.pack(order + "I", place + len(values))
        )
        values += b"" if inline else value + b"\0" * (len(value) % 2)
    return body + bytes(4) + values


def block(*entries: tuple[int, int, int, bytes]) -> bytes:
    return b"Exif\0\0II*\0\x08\0\0\0" + directory((0x0112, SHORT, 1, struct.pack("<H", 6)), *entries)


def photo(**info: object) -> bytes:
    """The EXIF block of a phone: camera, date, place, sides and orientation 6, and what a test adds."""
    exif = Image.Exif()
    exif.update({0x0110: "Phone", 0x0112: 6, 0x8298: "(c) me", 0x011A: 300.0, 0x011B: 300.0, 0x0128: 2})
    exif[0x8769] = {0x9003: "2024:05:06 07:08:09", 0xA002: 32, 0xA003: 24}
    exif[0x8825] = {1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)}
    exif.update(info)
    return exif.tobytes()


def saved(path: Path, **options: object) -> Path:
    lossless = {".webp": {"lossless": True}, ".jpg": {"quality": 95}}.get(path.suffix, {})
    Image.fromarray(PIXELS).save(path, **lossless | options)
    return path


def copied(source: Path, target: Path) -> Image.Image:
    """The file that a result of `source` is written to, its pixels changed."""
    picture = read_picture(source)
    write_picture(target, 1 - picture.image, alpha=picture.alpha, metadata=picture.metadata)
    return Image.open(target)


ODD = {
    "text for a resolution": block((282, TEXT, 3, b"72\0")),
    "-1/0": block(
        (282, RATIONAL, 1, struct.pack("<II", 1, 0)), (0x9204, SIGNED_RATIONAL, 1, struct.pack("<ii", -1, 0))
    ),
    "two resolutions": block((256, TEXT, 4, b"abc\0"), (282, RATIONAL, 2, struct.pack("<IIII", 72, 1, 72, 1))),
    "two headers": b"Exif\0\0" + block(),
    "sub-directory nowhere": block((0x8769, LONG, 1, struct.pack("<I", 10**6)), (0x8825, TEXT, 1, b"x")),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_odd_exif_turns_the_pixels_and_is_kept(tmp_path, kind, suffix):
    source = saved(tmp_path / f"a{suffix}", exif=ODD[kind])
    assert read_picture(source).image.shape == (1, 32, 24, 3)
    with copied(source, tmp_path / "b.jpg") as written:
        assert written.size == (24, 32)
        assert written.info["exif"] == ODD[kind].replace(b"Exif\0\0" * 2, b"Exif\0\0").replace(b"\6", b"\1", 1)


def test_odd_exif_is_a_warning_that_names_the_file(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        read_picture(saved(tmp_path / "odd.jpg", exif=ODD["text for a resolution"]))
    (record,) = caplog.records
    assert "odd.jpg: its EXIF block is odd" in record.getMessage()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_no_damage_of_a_block_costs_the_pixels(tmp_path, suffix):
    draw, whole = random.Random(0), photo()
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(draw.choice([1, 2, 8])):
            damaged[draw.randrange(6, len(damaged))] = draw.choice([0, 1, 255, draw.randrange(256)])
        source = saved(tmp_path / f"a{suffix}", exif=bytes(damaged[: draw.choice([len(whole), draw.randrange(8, 99)])]))
        assert sorted(read_picture(source).image.shape[1:3]) == [24, 32]
        for target in ("b.jpg", "b.png", "b.webp", "b.tif"):
            copied(source, tmp_path / target).close()
            assert sorted(read_picture(tmp_path / target).image.shape[1:3]) == [24, 32]


BROKEN = {
    "gamma of a PNG": (".png", b"gAMA", b"\0"),
    "primaries of a PNG": (".png", b"cHRM", b"\0"),
    "text of a PNG": (".png", b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no zlib"),
    "profile of a PNG": (".png", b"iCCP", b"name\0\7"),
    "head of a JPEG": (".jpg", 0xE0, b"JFIF\0\1"),
    "IPTC of a JPEG": (".jpg", 0xED, b"Photoshop 3.0\0008BIM\4\4"),
    "profile of a JPEG": (".jpg", 0xE2, b"ICC_PROFILE\0"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_no_other_broken_part_costs_the_pixels(tmp_path, what):
    suffix, kind, body = BROKEN[what]
    content = saved(tmp_path / f"a{suffix}").read_bytes()
    expected = read_picture(tmp_path / f"a{suffix}").image
    if isinstance(kind, int):
        content = content[:2] + struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body + content[2:]
    else:
        checked = kind + body
        part = struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))
        content = content[:33] + part + content[33:]
    (tmp_path / f"a{suffix}").write_bytes(content)
    assert torch.equal(read_picture(tmp_path / f"a{suffix}").image, expected)


@pytest.mark.parametrize("target", ["b.jpg", "b.png", "b.webp", "b.tif"])
@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_a_photo_keeps_its_data_upright(tmp_path, source, target):
    data = {"exif": photo(), "icc_profile": swapped_primaries()} | ({} if source == "a.webp" else {"dpi": (300, 300)})
    path = tmp_path / source
    if source == "a.tif":
        write_picture(path, read_picture(copied_from_jpeg(tmp_path, data)).image, metadata=jpeg_metadata(tmp_path))
    else:
        saved(path, **data)
    with copied(path, tmp_path / target) as written:
        written.load()
        exif = written.getexif()
        assert written.size == (24, 32)
        assert exif.get(0x0112, 1) == 1 and (exif[0x0110], exif[0x8298]) == ("Phone", "(c) me")
        assert exif.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09" and exif.get_ifd(0x8825)[2] == (48.0, 51.0, 30.0)
        assert (exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003]) == (24, 32)
        if "webp" not in source + target:
            assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        profile = ImageCms.ImageCmsProfile(io.BytesIO(written.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)


def copied_from_jpeg(folder: Path, data: dict) -> Path:
    return saved(folder / "first.jpg", **data)


def jpeg_metadata(folder: Path):
    return read_picture(folder / "first.jpg").metadata


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_xmp_is_kept_upright(tmp_path, suffix):
    saved(tmp_path / "a.webp", xmp=XMP)
    copied(tmp_path / "a.webp", tmp_path / f"b{suffix}").close()
    copied(tmp_path / f"b{suffix}", tmp_path / f"c{suffix}").close()
    written = read_picture(tmp_path / f"c{suffix}")
    assert written.metadata.xmp == XMP.replace(b'"6"', b'"1"')
    assert written.image.shape == (1, 32, 24, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png"])
def test_credits_of_agencies_are_kept(tmp_path, suffix):
    body = b"Photoshop 3.0\0008BIM\4\4\0\0" + struct.pack(">I", len(IPTC)) + IPTC
    saved(tmp_path / "a.jpg", extra=struct.pack(">BBH", 0xFF, 0xED, len(body) + 2) + body, comment=b"hello")
    copied(tmp_path / "a.jpg", tmp_path / f"b{suffix}").close()
    copied(tmp_path / f"b{suffix}", tmp_path / f"c{suffix}").close()
    written = read_picture(tmp_path / f"c{suffix}").metadata
    assert written.iptc == IPTC and (suffix != ".jpg" or written.comment == b"hello")


@pytest.mark.parametrize("start", [b"", b"8BIM\4\4\0\0\0\0\0\x0f", b"8BIM\4\4\4name\0\0\0\0\x0f"])
def test_credits_in_a_png_are_kept(tmp_path, start):
    """As ExifTool and ImageMagick write them: records, or a resource of Photoshop's, which may have a name."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Raw profile type iptc", f"\nIPTC profile\n{len(start + IPTC):8}\n{(start + IPTC).hex()}\n")
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png", pnginfo=texts)
    copied(tmp_path / "a.png", tmp_path / "b.jpg").close()
    assert read_picture(tmp_path / "b.jpg").metadata.iptc == IPTC


def raw_texts(**raw: bytes) -> PngImagePlugin.PngInfo:
    """As ImageMagick writes what a PNG had no chunk for, or older programs knew none."""
    texts = PngImagePlugin.PngInfo()
    for name, content in raw.items():
        texts.add_text(
            f"Raw profile type {name}", f"\n{name}\n{len(content):8}\n{content.hex(chr(10), -36)}\n", zip=True
        )
    return texts


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ({"xmp": XMP, "exif": photo()}, {"exif", "xmp"}),
        ({"APP1": photo()}, {"exif"}),
        ({"APP1": b"http://ns.adobe.com/xap/1.0/\0" + XMP}, {"xmp"}),
        ({"8bim": b"8BIM\4\4\0\0\0\0\0\x0f" + IPTC}, {"iptc"}),
    ],
)
def test_raw_profiles_of_a_png_are_what_they_hold(tmp_path, caplog, raw, kept):
    source = saved(tmp_path / "a.png", pnginfo=raw_texts(**raw))
    with Image.open(source) as image:
        assert not image.info.get("xmp")
    copied(source, tmp_path / "b.jpg").close()
    written = read_picture(tmp_path / "b.jpg")
    assert {name for name in ("exif", "xmp", "iptc") if getattr(written.metadata, name)} == kept
    assert written.image.shape[1:3] == ((24, 32) if kept == {"iptc"} else (32, 24)) and not caplog.text
    assert written.metadata.iptc in (b"", IPTC) and written.metadata.xmp in (b"", XMP.replace(b'"6"', b'"1"'))


def test_a_color_profile_in_a_text_is_applied(tmp_path):
    plain, turned = saved(tmp_path / "a.png"), saved(tmp_path / "b.png", pnginfo=raw_texts(icc=swapped_primaries()))
    with Image.open(plain) as image:
        expected = saved(tmp_path / "c.png", icc_profile=swapped_primaries())
        assert "icc_profile" not in image.info
    assert torch.equal(read_picture(turned).image, read_picture(expected).image)


@pytest.mark.parametrize("raw", [{"generic": b"anything"}, {"xmp": b""}])
def test_raw_profiles_that_are_not_known_are_kept_as_texts(tmp_path, raw):
    texts = raw_texts(**raw)
    if "xmp" in raw:
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Raw profile type xmp", "\nxmp\n 3\nno digits\n")
    copied(saved(tmp_path / "a.png", pnginfo=texts), tmp_path / "b.png").close()
    assert read_picture(tmp_path / "b.png").metadata.texts == read_picture(tmp_path / "a.png").metadata.texts
    assert len(read_picture(tmp_path / "b.png").metadata.texts) == 1


@pytest.mark.parametrize("depth", [8, 16])
def test_credits_that_a_tiff_file_stores_as_numbers_are_kept(tmp_path, depth):
    """As exiftool and Photoshop do; Pillow gives the first number alone, which was taken for a count of zeros."""
    write_picture(tmp_path / "a.tif", torch.rand(1, 5, 7, 3), depth=depth)
    padded = IPTC + bytes(-len(IPTC) % 4)
    content = add_tags((tmp_path / "a.tif").read_bytes(), {33723: Value(UNDEFINED, padded)})
    entry = struct.pack("<HHI", 33723, 7, len(padded))
    assert entry in content
    (tmp_path / "a.tif").write_bytes(content.replace(entry, struct.pack("<HHI", 33723, LONG, len(padded) // 4)))
    picture = read_picture(tmp_path / "a.tif")
    assert picture.metadata.iptc == IPTC.rstrip(b"\0") and picture.depth == depth
    write_picture(tmp_path / "b.tif", picture.image, metadata=picture.metadata, depth=depth)
    assert read_picture(tmp_path / "b.tif").metadata.iptc == picture.metadata.iptc


@pytest.mark.parametrize("error", [TypeError, OverflowError])
def test_whatever_pillow_raises_on_writing_costs_no_picture(tmp_path, monkeypatch, caplog, error):
    def fail(*_):
        raise error("odd")

    monkeypatch.setattr("autodir_core.imaging.formats.encoding.add_tags", fail)
    copied(saved(tmp_path / "a.jpg", exif=photo()), tmp_path / "b.tif").close()
    assert "b.tif: metadata cannot be written (odd) and are left out" in caplog.text


def test_the_thumbnail_of_before_and_nothing_else_is_gone(tmp_path):
    entries = ((0x0112, SHORT, 1, struct.pack("<H", 6)), (0x927C, 7, 6, b"secret"))
    first = directory(*entries)
    whole = b"Exif\0\0II*\0\x08\0\0\0" + first[:26] + struct.pack("<I", 8 + len(first)) + first[30:]
    whole += directory((0x0201, LONG, 1, struct.pack("<I", 99)), start=8 + len(first))
    with copied(saved(tmp_path / "a.jpg", exif=whole), tmp_path / "b.jpg") as written:
        kept = written.info["exif"]
    assert kept == whole.replace(b"\6", b"\1", 1).replace(struct.pack("<I", 8 + len(first)), bytes(4), 1)


def test_texts_of_a_png_are_kept_unless_the_format_has_no_place(tmp_path, caplog):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("workflow", '{"nodes": []}')
    texts.add_itxt("Title", "Straße", "de", zip=True)
    source = saved(tmp_path / "a.png", pnginfo=texts)
    with copied(source, tmp_path / "b.png") as written:
        assert written.text == {"workflow": '{"nodes": []}', "Title": "Straße"}
        assert written.text["Title"].lang == "de"
    with caplog.at_level(logging.WARNING):
        copied(source, tmp_path / "b.jpg").close()
    assert "b.jpg: a JPEG file has no place for the texts of the PNG; left out" in caplog.text


def test_more_text_than_pillow_reads_costs_nothing(tmp_path, caplog):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("workflow", "x" * 1_200_000, zip=True)
    source = saved(tmp_path / "a.png", pnginfo=texts)
    with caplog.at_level(logging.WARNING):
        picture = read_picture(source)
    assert torch.equal(picture.image[0], torch.from_numpy(PIXELS) / 255)
    assert "a.png: its metadata cannot be read" in caplog.text
    write_picture(tmp_path / "b.png", picture.image, metadata=picture.metadata)
    (text,) = picture.metadata.texts
    assert text[1].startswith(b"workflow\0") and text[1] in (tmp_path / "b.png").read_bytes()


def test_metadata_that_cannot_be_written_cost_no_picture(tmp_path, caplog):
    source = saved(tmp_path / "a.png", exif=photo() + bytes(70_000))
    with caplog.at_level(logging.WARNING):
        copied(source, tmp_path / "b.jpg").close()
    assert "b.jpg: a JPEG file has no place for so long an EXIF block; left out" in caplog.text
    assert read_picture(tmp_path / "b.jpg").image.shape == (1, 32, 24, 3)


@pytest.mark.parametrize("name", ["iptc", "xmp"])
def test_what_is_too_long_for_a_jpeg_costs_nothing_else(tmp_path, caplog, name):
    metadata = replace(Metadata(exif=photo(), iptc=IPTC, xmp=XMP), **{name: IPTC + bytes(66_000)})
    write_picture(tmp_path / "a.jpg", torch.zeros(1, 8, 8, 3), metadata=metadata)
    what = {"iptc": "so many IPTC records", "xmp": "so long an XMP packet"}[name]
    assert f"a.jpg: a JPEG file has no place for {what}; left out" in caplog.text
    written = read_picture(tmp_path / "a.jpg").metadata
    assert {kept for kept in ("exif", "iptc", "xmp") if getattr(written, kept)} == {"exif", "iptc", "xmp"} - {name}


def test_the_profile_that_is_written_is_that_of_the_pixels(tmp_path):
    plain, srgb = saved(tmp_path / "plain.png"), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with copied(plain, tmp_path / "b.png") as written:
        assert "icc_profile" not in written.info
    with copied(saved(tmp_path / "a.png", icc_profile=srgb), tmp_path / "b.png") as written:
        assert written.info["icc_profile"] == srgb
    other = saved(tmp_path / "other.png", icc_profile=swapped_primaries())
    with copied(other, tmp_path / "b.png") as written:
        assert written.info["icc_profile"][128:] == srgb[128:]
        assert written.info["icc_profile"][24:36] == b"\x07\xd0\0\1\0\1" + bytes(6), "the date of the profile is fixed"


def test_a_makers_notes_are_left_out_of_tiff_files_and_that_is_told(tmp_path, caplog):
    """Their offsets are those of the block that the camera wrote."""
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x927C: b"Maker\0II*\0", 0x9003: "2024:05:06 07:08:09"})
    saved(tmp_path / "a.jpg", exif=exif)
    copied(tmp_path / "a.jpg", tmp_path / "b.tif").close()
    assert "b.tif: a TIFF file has no place for the camera maker's notes; left out" in caplog.text
    kept = Image.Exif()
    kept.load(read_picture(tmp_path / "b.tif").metadata.exif)
    assert kept.get_ifd(0x8769) == {0x9003: "2024:05:06 07:08:09"}
    caplog.clear()
    copied(tmp_path / "a.jpg", tmp_path / "b.png").close()
    assert "notes" not in caplog.text


def test_xmp_beyond_one_segment_is_told(tmp_path, caplog):
    body = b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + b"<x:xmpmeta/>"
    saved(tmp_path / "a.jpg", extra=struct.pack(">BBH", 0xFF, 0xE1, len(body) + 2) + body)
    copied(tmp_path / "a.jpg", tmp_path / "b.jpg").close()
    assert "b.jpg: what XMP has beyond 64 KB of its source left out" in caplog.text
