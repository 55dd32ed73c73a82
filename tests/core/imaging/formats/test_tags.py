"""Values of TIFF files and EXIF blocks go from one to another as they are stored."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autodir_core.imaging.color import srgb_profile
from autodir_core.imaging.files import read_picture, write_picture
from autodir_core.imaging.formats.deep_tiff import read_floats, write_floats
from autodir_core.imaging.formats.exif import exif_tags
from autodir_core.imaging.formats.metadata import Metadata
from autodir_core.imaging.formats.tags import (
    EXIF,
    GPS,
    INTEROPERABILITY,
    Value,
    add_tags,
    count_pages,
    describe_resolution,
    encode_block,
    find_resolution,
    read_directory,
    read_file,
)
from tests.core.imaging.formats.test_metadata import SHORT, TEXT, directory, photo, saved
from tests.core.imaging.formats.test_tiff import write_tiff

NAMES = {0x013B: "José Müller", 0x8298: "© Zoë"}
INTEROP = {1: Value(TEXT, b"R98\0"), 2: Value(7, b"0100")}
PHOTO = {
    **{tag: Value(TEXT, name.encode() + b"\0") for tag, name in NAMES.items()},
    EXIF: {0x9003: Value(TEXT, b"2024:05:06 07:08:09\0"), 0x9101: Value(7, b"\1\2\3\0"), INTEROPERABILITY: INTEROP},
    GPS: {1: Value(TEXT, b"N\0"), 2: Value(5, struct.pack("<6I", 48, 1, 51, 1, 30, 1))},
}


def passed_on(source: Path, target: Path, depth: int = 8) -> Path:
    picture = read_picture(source)
    write_picture(target, picture.image, metadata=picture.metadata, depth=depth)
    return target


def tags_of(path: Path) -> dict:
    if path.suffix == ".tif":
        return read_file(path)
    with Image.open(path) as image:
        return exif_tags(image.info["exif"])


def photo_of(path: Path) -> dict:
    return {tag: value for tag, value in tags_of(path).items() if tag in PHOTO}


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_texts_beyond_ascii_and_nested_directories_go_through_every_format(tmp_path, suffix, depth):
    first = saved(tmp_path / "a.jpg", exif=b"Exif\0\0" + encode_block(PHOTO))
    second = passed_on(passed_on(first, tmp_path / "b.tif", depth), tmp_path / f"c{suffix}", depth)
    assert photo_of(second) == PHOTO
    assert photo_of(passed_on(second, tmp_path / "d.tif", depth)) == PHOTO


def test_texts_of_a_tiff_file_that_another_program_wrote(tmp_path):
    """In the other order of bytes, too."""
    for dtype in ("<u1", ">u2"):
        samples = np.zeros((10, 16, 3), dtype)
        tags = {"t269": "Döc", "t285": "page 3", "t270": "Straße", "t315": NAMES[0x013B]}
        source = write_tiff(tmp_path / "a.tif", samples, **tags)
        written = read_file(passed_on(source, tmp_path / "b.tif"))
        kept = {int(name[1:]): Value(TEXT, text.encode() + b"\0") for name, text in tags.items()}
        assert {tag: written.get(tag) for tag in kept} == kept


def test_the_description_of_an_array_is_not_one_of_the_photo(tmp_path):
    source = write_tiff(tmp_path / "a.tif", np.zeros((10, 16, 3), np.uint16), t270='{"shape": [10, 16, 3]}')
    assert 270 not in read_file(passed_on(source, tmp_path / "b.tif"))


def test_a_block_in_the_other_order_of_bytes():
    entries = (0x0112, SHORT, 1, struct.pack(">H", 6)), (0x011A, 5, 1, struct.pack(">II", 300, 7))
    assert read_directory(b"MM\0*\0\0\0\x08" + directory(*entries, order=">")) == {
        0x0112: Value(SHORT, b"\6\0"),
        0x011A: Value(5, struct.pack("<II", 300, 7)),
    }


def test_a_comment_of_any_letters_turns_with_the_order_of_bytes():
    comment = (0x9286, 7, 14, b"UNICODE\0" + "Zoë".encode("utf-16-be"))
    read = read_directory(b"MM\0*\0\0\0\x08" + directory(comment, order=">"))
    assert read == {0x9286: Value(7, b"UNICODE\0" + "Zoë".encode("utf-16-le"))}
    assert read_directory(encode_block(read)) == read


def test_a_file_of_more_than_4_gb_tells_its_tags():
    """As far as its directory goes; numbers and places have eight bytes there."""
    text, after = NAMES[0x013B].encode(), 16 + 8 + 2 * 20 + 8
    nested = struct.pack("<QHHQ8s", 1, 1, TEXT, 4, b"R98")
    entries = struct.pack("<HHQQ", 0x013B, TEXT, len(text), after)
    entries += struct.pack("<HHQQ", EXIF, 18, 1, after + len(text))
    content = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2) + entries + bytes(8) + text + nested + bytes(8)
    assert read_directory(content) == {0x013B: Value(TEXT, text), EXIF: {1: Value(TEXT, b"R98\0")}}


def test_what_leads_nowhere_or_back_is_left_out():
    entries = (0x010E, TEXT, 400, bytes(400)), (EXIF, 4, 1, struct.pack("<I", 8)), (GPS, 4, 1, struct.pack("<I", 10**9))
    content = (b"II*\0\x08\0\0\0" + directory(*entries))[:200]
    assert read_directory(content) == {EXIF: {}}
    assert read_directory(content[:8] + b"\xff\xff" + content[10:22]) == {}


@pytest.mark.parametrize("order", ["<", ">"])
def test_added_tags_are_read_as_they_were(order):
    empty = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + directory(order=order)
    assert read_directory(add_tags(empty, PHOTO)) == PHOTO
    assert read_directory(add_tags(add_tags(empty, {1: INTEROP[1]}), {1: INTEROP[2]})) == {1: INTEROP[1]}


@pytest.mark.parametrize("target", ["b.tif", "b.webp", "b.jpg", "b.png"])
@pytest.mark.parametrize("source", ["a.png", "a.webp"])
def test_a_resolution_that_stands_in_exif_alone_is_kept(tmp_path, source, target):
    written = passed_on(saved(tmp_path / source, exif=photo()), tmp_path / target)
    assert read_picture(written).metadata.dpi == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize(("told", "expected"), [((300, 1), 300), ((0, 1), 72), ((1, 0), 72)])
def test_the_resolution_in_exif_is_that_of_a_tiff_file_where_it_makes_sense(tmp_path, told, expected):
    exif = {tag: Value(5, struct.pack("<II", *told)) for tag in (282, 283)} | {296: Value(SHORT, b"\2\0")}
    source = saved(tmp_path / "a.jpg", exif=b"Exif\0\0" + encode_block(exif), dpi=(72, 72))
    assert find_resolution(read_file(passed_on(source, tmp_path / "b.tif"))) == pytest.approx((expected, expected))


def test_a_resolution_of_the_file_itself_is_that_of_a_tiff_file_whatever_exif_says(tmp_path):
    exif = {tag: Value(5, struct.pack("<II", 72, 1)) for tag in (282, 283)} | {296: Value(SHORT, b"\2\0")}
    source = saved(tmp_path / "a.png", exif=b"Exif\0\0" + encode_block(exif), dpi=(300, 300))
    assert find_resolution(read_file(passed_on(source, tmp_path / "b.tif"))) == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0" + encode_block(PHOTO)])
def test_a_resolution_goes_into_the_exif_block_of_webp(tmp_path, caplog, exif):
    metadata = Metadata(exif=exif, dpi=(299.9994, 150.0))
    write_picture(tmp_path / "a.webp", torch.zeros(1, 8, 8, 3), metadata=metadata)
    tags = tags_of(tmp_path / "a.webp")
    assert find_resolution(tags) == pytest.approx((299.9994, 150), abs=1e-3)
    assert tags == {**(PHOTO if exif else {}), **describe_resolution((299.9994, 150.0))}
    assert not caplog.text


def test_a_resolution_in_centimeters_and_one_without_a_unit():
    tags = describe_resolution((118.0, 118.0))
    assert find_resolution(tags | {296: Value(SHORT, b"\3\0")}) == pytest.approx((299.72, 299.72))
    assert find_resolution(tags | {296: Value(SHORT, b"\1\0")}) == (0, 0)
    assert find_resolution({282: tags[282]}) == find_resolution({}) == ()


PLACE = {
    33550: Value(12, struct.pack("<3d", 10, 10, 0)),
    33922: Value(12, struct.pack("<6d", 0, 0, 0, 500000, 4600000, 0)),
    34735: Value(3, struct.pack("<8H", 1, 1, 0, 1, 1024, 0, 1, 1)),
    34736: Value(12, struct.pack("<d", 6378137)),
    34737: Value(TEXT, b"WGS 84|\0"),
    42112: Value(TEXT, b"<GDALMetadata/>\0"),
    42113: Value(TEXT, b"0\0"),
}


def placed(path: Path, dtype: type, orientation: int, **more: Value) -> Path:
    """A TIFF file that says where on earth it lies."""
    levels = np.random.default_rng(0).integers(0, 256, (10, 16, 3)).astype(dtype)
    write_tiff(path, levels, t274=orientation)
    path.write_bytes(add_tags(path.read_bytes(), PLACE | {int(name[1:]): value for name, value in more.items()}))
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_place_on_earth_is_kept(tmp_path, caplog, dtype):
    tags = read_file(passed_on(placed(tmp_path / "a.tif", dtype, 1), tmp_path / "b.tif", 8 * np.dtype(dtype).itemsize))
    assert {tag: tags.get(tag) for tag in PLACE} == PLACE and not caplog.text
    passed_on(tmp_path / "a.tif", tmp_path / "b.png")
    assert "a PNG file has no place for the tags of GeoTIFF and GDAL; left out" in caplog.text


def test_a_place_of_pixels_that_were_turned_is_left_out(tmp_path, caplog):
    tags = read_file(passed_on(placed(tmp_path / "a.tif", np.uint8, 6), tmp_path / "b.tif"))
    assert not tags.keys() & PLACE.keys() and "the tags 33550" in caplog.text


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_not_kept_of_a_tiff_file_is_told(tmp_path, caplog, dtype):
    source = placed(tmp_path / "a.tif", dtype, 1, t34377=Value(7, b"8BIM"), t34675=Value(7, srgb_profile()))
    if dtype == np.float32:
        floats = read_floats(source)
        assert floats is not None
        write_floats(tmp_path / "b.tif", floats.color, floats.metadata)
    else:
        passed_on(source, tmp_path / "b.tif")
    assert "b.tif: the tags 34377 (PhotoshopInfo) of its source left out" in caplog.text


@pytest.mark.parametrize("large", [False, True])
def test_the_pictures_of_a_file_are_counted(tmp_path, large):
    """In a chain that leads back to where it was too."""
    pages = [Image.new("L", (4, 4))] * 3
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], big_tiff=large)
    assert count_pages(tmp_path / "a.tif") == 3
    (tmp_path / "b.tif").write_bytes(b"II*\0" + struct.pack("<IHI", 8, 0, 8))
    assert count_pages(tmp_path / "b.tif") == 1
    (tmp_path / "b.tif").write_bytes(b"II+\0" + struct.pack("<HHQ", 8, 0, 2**64 - 1))
    assert count_pages(tmp_path / "b.tif") == 0


def test_a_reduced_copy_or_a_mask_is_no_picture_of_its_own(tmp_path):
    """As the overviews of a GeoTIFF and the thumbnail of a camera's TIFF are."""
    kinds = (0, 1, 4, 2)
    directories = (
        struct.pack("<HHHIII", 1, 254, 4, 1, kind, 8 + 18 * (at + 1) if at + 1 < len(kinds) else 0)
        for at, kind in enumerate(kinds)
    )
    (tmp_path / "a.tif").write_bytes(struct.pack("<4sI", b"II*", 8) + b"".join(directories))
    assert count_pages(tmp_path / "a.tif") == 2
