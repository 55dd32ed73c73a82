"""TIFF files of samples that Pillow has no mode for: every type, order, compression, predictor and layout."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, UnidentifiedImageError

from autodir_core.imaging.files import read_picture
from autodir_core.imaging.formats.tiff import turn_upright
from tests.core.imaging.formats.test_metadata import directory
from tests.core.imaging.test_files import swapped_primaries

HEIGHT, WIDTH, STRIP = 10, 16, 4
DEFLATE, LZW = 8, 5


def write_tiff(path: Path, samples: np.ndarray, *, compression: int = 1, predictor: int = 1, **tags: Any) -> Path:
    """Write [H, W, C] in strips of four rows, in the byte order of its type; with `planar=2` plane by plane."""
    planar, order = tags.pop("planar", 1), ">" if samples.dtype.byteorder == ">" else "<"
    count = samples.shape[-1]
    planes = [samples[..., i : i + 1] for i in range(count)] if planar == 2 else [samples]
    strips = [pack(part[y : y + STRIP], compression, predictor) for part in planes for y in range(0, HEIGHT, STRIP)]
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    values = {256: WIDTH, 257: HEIGHT, 258: (8 * samples.itemsize,) * count, 259: compression, 277: count, 278: STRIP}
    values |= {262: 2 if count > 2 else 1, 284: planar, 317: predictor, 339: (kind,) * count}
    values |= {273: tuple(np.cumsum([8, *map(len, strips)])[:-1].tolist()), 279: tuple(map(len, strips))}
    values |= {int(name[1:]): value for name, value in tags.items()}
    body = b"".join(strips) + bytes(sum(map(len, strips)) % 2)
    entries = [(tag, *encode(value, order)) for tag, value in sorted(values.items())]
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8 + len(body))
    path.write_bytes(head + body + directory(*entries, start=8 + len(body), order=order))
    return path


def encode(value: Any, order: str) -> tuple[int, int, bytes]:
    """The type, the count and the bytes of a tag's value: whole numbers, a float as a rational, a text or bytes."""
    if isinstance(value, float):
        return 5, 1, struct.pack(order + "II", int(value), 1)
    if isinstance(value, (str, bytes)):
        content = value if isinstance(value, bytes) else value.encode() + b"\0"
        return (7 if isinstance(value, bytes) else 2), len(content), content
    numbers = value if isinstance(value, tuple) else (value,)
    return 3, len(numbers), struct.pack(f"{order}{len(numbers)}H", *numbers)


def pack(samples: np.ndarray, compression: int, predictor: int) -> bytes:
    """One strip as a file holds it."""
    rows, _, count = samples.shape
    if predictor == 2:
        whole = samples.astype(samples.dtype.newbyteorder("=")).view(f"u{samples.itemsize}")
        samples = np.diff(whole, axis=1, prepend=np.zeros_like(whole[:, :1])).astype(
            samples.dtype.str.replace("f", "u")
        )
    content = samples.tobytes()
    if predictor == 3:
        parts = samples.astype(samples.dtype.newbyteorder(">")).reshape(rows, -1, 1).view(np.uint8)
        parts = parts.transpose(0, 2, 1).reshape(rows, -1, count)
        content = np.diff(parts, axis=1, prepend=np.zeros_like(parts[:, :1])).tobytes()
    if compression == LZW:
        file = io.BytesIO()
        gray = np.frombuffer(content, np.uint8).reshape(rows, -1)
        Image.fromarray(gray).save(file, "TIFF", compression="tiff_lzw")
        with Image.open(file) as image:
            (start,), (length,) = image.tag_v2[273], image.tag_v2[279]
        return file.getvalue()[start : start + length]
    return zlib.compress(content) if compression == DEFLATE else content


def draw(dtype: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples of a type, and what they are in 0..1."""
    values = np.random.default_rng(0).random((HEIGHT, WIDTH, count))
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    samples = (values * top * 0.999).astype(dtype)
    return samples, samples.astype(np.float64) / top


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<f2", "<f4", ">f4", "<f8", "<u4", ">u4", "<i4"])
@pytest.mark.parametrize(("compression", "predictor"), [(1, 1), (DEFLATE, 2), (LZW, 1), (DEFLATE, 3)])
@pytest.mark.parametrize("planar", [1, 2])
def test_deep_color(tmp_path, dtype, compression, predictor, planar):
    predictor = min(predictor, 3 if "f" in dtype else 2)  # the third is one of floats
    samples, expected = draw(dtype, 3)
    path = write_tiff(tmp_path / "a.tif", samples, compression=compression, predictor=predictor, planar=planar)
    assert read_picture(path).image[0].numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<f4"])
def test_deep_gray_with_alpha(tmp_path, dtype):
    samples, expected = draw(dtype, 2)
    straight = read_picture(write_tiff(tmp_path / "a.tif", samples, t338=2))
    assert straight.image[0].numpy() == pytest.approx(expected[..., :1].repeat(3, -1), abs=1e-6)
    assert straight.alpha is not None and straight.alpha[0].numpy() == pytest.approx(expected[..., 1], abs=1e-6)
    premultiplied = read_picture(write_tiff(tmp_path / "a.tif", samples, t338=1)).image[0, ..., 0].numpy()
    assert premultiplied == pytest.approx((expected[..., 0] / expected[..., 1]).clip(0, 1), abs=1e-5)
    assert read_picture(write_tiff(tmp_path / "a.tif", samples, t338=0)).alpha is None


def test_gray_of_32_bits_above_half_is_bright(tmp_path):
    samples, expected = draw("<u4", 1)
    image = read_picture(write_tiff(tmp_path / "a.tif", samples)).image[0, ..., :1].numpy()
    assert image == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", ["<u1", "<u2", ">u2", "<u4", "<i2"])
@pytest.mark.parametrize("compression", [1, LZW])
def test_gray_whose_zero_is_white_is_no_negative(tmp_path, dtype, compression):
    samples, expected = draw(dtype, 1)
    path = write_tiff(tmp_path / "a.tif", samples, compression=compression, t262=0)
    assert read_picture(path).image[0, ..., :1].numpy() == pytest.approx(1 - expected, abs=1e-6)


@pytest.mark.parametrize("dtype", ["<i2", ">i2"])
@pytest.mark.parametrize("count", [1, 3])
def test_signed_samples_end_where_their_type_does(tmp_path, dtype, count):
    samples, expected = draw(dtype, count)
    image = read_picture(write_tiff(tmp_path / "a.tif", samples)).image[0, ..., :count].numpy()
    assert image == pytest.approx(expected, abs=1e-6)


def test_gray_of_12_bits_is_as_bright_as_it_was(tmp_path):
    levels = np.full((HEIGHT, WIDTH), 0xFFF, np.uint16)
    levels[:, ::2] = 0x123
    packed = np.stack([levels[:, ::2] >> 4, (levels[:, ::2] & 15) << 4 | levels[:, 1::2] >> 8, levels[:, 1::2]], -1)
    path = write_tiff(tmp_path / "a.tif", np.zeros((HEIGHT, WIDTH * 3 // 2, 1), np.uint8), t256=WIDTH, t258=12)
    content = path.read_bytes()
    path.write_bytes(content[:8] + (packed & 0xFF).astype(np.uint8).tobytes() + content[8 + packed.size :])
    picture = read_picture(path)
    assert picture.image[0, ..., 0].numpy() == pytest.approx(levels / 0xFFF, abs=1e-4)
    assert picture.depth == 16 and picture.gray


def test_reversed_bytes_are_left_to_pillow(tmp_path):
    samples, expected = draw("<u2", 1)
    bits = np.unpackbits(samples.view(np.uint8).reshape(-1, 1), axis=1)[:, ::-1]
    reversed_ = np.packbits(bits).view("<u2").reshape(samples.shape)
    image = read_picture(write_tiff(tmp_path / "a.tif", reversed_, t266=2)).image[0, ..., :1].numpy()
    assert image == pytest.approx(expected, abs=1e-6)


def test_floats_a_little_above_1_are_highlights(tmp_path, caplog):
    samples, expected = draw("<f4", 3)
    image = read_picture(write_tiff(tmp_path / "a.tif", samples * 1.5)).image[0].numpy()
    assert image == pytest.approx((expected * 1.5).clip(0, 1), abs=1e-6)
    assert "are cut off at 1" in caplog.text


def test_profile_orientation_and_data_of_deep_color(tmp_path):
    red = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    red[..., 0] = 1
    tags = {"t34675": swapped_primaries(), "t274": 6, "t272": "Scanner", "t282": 600.0, "t283": 600.0, "t296": 2}
    picture = read_picture(write_tiff(tmp_path / "a.tif", red, **tags))
    assert picture.image.shape == (1, WIDTH, HEIGHT, 3)
    assert picture.image[0, 0, 0].numpy() == pytest.approx((0, 1, 0), abs=0.02)
    assert picture.metadata.dpi == (600, 600) and b"Scanner" in picture.metadata.exif and picture.metadata.icc_profile


def test_a_profile_of_srgb_costs_no_bits(tmp_path, caplog):
    samples, expected = draw("<u2", 3)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    kept = read_picture(write_tiff(tmp_path / "a.tif", samples, t34675=srgb))
    assert kept.image[0].numpy() == pytest.approx(expected, abs=1e-6)
    assert kept.metadata.icc_profile == srgb and not caplog.text


def test_a_broken_profile_costs_no_bits(tmp_path, caplog):
    samples, expected = draw("<u2", 3)
    picture = read_picture(write_tiff(tmp_path / "a.tif", samples, t34675=b"no profile"))
    assert picture.image[0].numpy() == pytest.approx(expected, abs=1e-6)
    assert "the embedded color profile cannot be used" in caplog.text


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_pillow(tmp_path, orientation):
    exif, pixels = Image.Exif(), np.arange(6, dtype=np.uint8).reshape(2, 3)
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    expected = (read_picture(tmp_path / "a.png").image[0, ..., 0] * 255).round().numpy()
    assert np.array_equal(turn_upright(pixels, orientation), expected)


def test_a_damaged_directory_costs_no_pixels(tmp_path):
    samples, expected = draw("<u1", 3)
    path = write_tiff(tmp_path / "a.tif", samples, t270="x" * 40)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"\x0e\1\2\0") + 8, len(content) - 4)  # the text is cut off
    path.write_bytes(content)
    with pytest.raises(UnidentifiedImageError), pytest.warns(UserWarning):
        Image.open(path)
    assert read_picture(path).image[0].numpy() == pytest.approx(expected, abs=1e-6)


def test_a_kind_that_is_not_read_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"a\.tif is a TIFF file of a kind that is not read"):
        read_picture(write_tiff(tmp_path / "a.tif", draw("<u2", 3)[0], t262=8))


def test_a_cut_off_file_is_told(tmp_path):
    samples, _ = draw("<f4", 3)
    path = write_tiff(tmp_path / "a.tif", samples)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match=r"a\.tif is damaged or cut off"):
        read_picture(path)


def test_cmyk_of_16_bits_comes_as_8_and_says_so(tmp_path, caplog):
    samples = np.full((HEIGHT, WIDTH, 4), 65535, np.uint16)
    picture = read_picture(write_tiff(tmp_path / "a.tif", samples - samples, t262=5))
    assert picture.image.min() == 1 and "a.tif: its 16-bit colors are read as 8 bits" in caplog.text
