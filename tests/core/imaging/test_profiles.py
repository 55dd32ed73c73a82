"""Profiles of curves and of a matrix against littleCMS, which converts 8 bits, and at depths that it does not have."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from autodir_core.imaging.color import srgb_profile
from autodir_core.imaging.files import read_picture
from autodir_core.imaging.profiles import convert_exactly, read_curve
from tests.core.imaging.formats.test_png import saved
from tests.core.imaging.formats.test_tiff import write_tiff
from tests.core.imaging.test_files import swapped_primaries

GAMMA_2_2 = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)
LINEAR = b"curv\0\0\0\0" + struct.pack(">I", 0)


def profile_of(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    """A profile of a display, its description and white among its tags."""
    d50 = struct.pack(">3i", *(round(65536 * value) for value in (0.9642, 1, 0.8249)))
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"Test\0" + bytes(78)
    tags = {b"desc": text, b"wtpt": b"XYZ \0\0\0\0" + d50} | tags
    head = struct.pack(">I4sI4s4s4s", 0, b"lcms", 0x02400000, b"mntr", space, pcs) + bytes(12) + b"acsp"
    head = head.ljust(68, b"\0") + d50
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    whole = head.ljust(128, b"\0") + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def gray_profile(curve: bytes = LINEAR, pcs: bytes = b"XYZ ") -> bytes:
    return profile_of(b"GRAY", {b"kTRC": curve}, pcs)


ADOBE_PRIMARIES = ((39989, 20389, 1277), (13453, 41000, 3989), (9776, 4147, 48796))
"""As D50 sees them, like all of a profile."""


def color_profile(curve: bytes = GAMMA_2_2, primaries: tuple[tuple[int, ...], ...] = ADOBE_PRIMARIES) -> bytes:
    values = (b"XYZ \0\0\0\0" + struct.pack(">3i", *primary) for primary in primaries)
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), values, strict=True))
    return profile_of(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def formula(kind: int, *numbers: float) -> bytes:
    return struct.pack(f">4sIHH{len(numbers)}i", b"para", 0, kind, 0, *(round(65536 * value) for value in numbers))


CURVES = {
    "power": GAMMA_2_2,
    "table": b"curv\0\0\0\0" + struct.pack(">I65H", 65, *(round(65535 * (i / 64) ** 1.8) for i in range(65))),
    "para 0": formula(0, 1.8),
    "para 1": formula(1, 2.0, 1.1, -0.1),
    "para 2": formula(2, 2.0, 1.1, -0.1, 0.0),
    "para 3": formula(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    "para 4": formula(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0),
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("make", [gray_profile, color_profile])
def test_8_bits_are_those_of_littlecms(curve, make) -> None:
    profile, channels = make(CURVES[curve]), 1 if make is gray_profile else 3
    levels = np.random.default_rng(0).integers(16, 256, (300, 8, channels)).astype(np.uint8)
    expected = ImageCms.profileToProfile(
        Image.fromarray(levels.squeeze(-1) if channels == 1 else levels),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    )
    exact = convert_exactly(torch.from_numpy(levels / 255).float(), profile, srgb_profile())
    assert exact is not None and np.abs(exact.numpy() * 255 - np.asarray(expected)).max() < 1.5


def test_srgb_leads_to_itself() -> None:
    color = torch.rand(5, 7, 3, generator=torch.Generator().manual_seed(0))
    exact = convert_exactly(color, srgb_profile(), srgb_profile())
    assert exact is not None and torch.allclose(exact, color, atol=1e-4)


def test_formulas_with_an_offset() -> None:
    """Black that is not 0, which littleCMS would make 0."""
    x = np.array([0, 0.25, 1])
    assert read_curve(formula(2, 2, 0.5, -0.25, 0.125))(x) == pytest.approx([0.125, 0.125, 0.1875])
    assert read_curve(formula(4, 2, 0.5, 0.25, 0.5, 0.5, 0.125, 0.0625))(x) == pytest.approx([0.0625, 0.1875, 0.6875])


def test_a_curve_of_another_kind_is_none() -> None:
    with pytest.raises(ValueError, match="no curve"):
        read_curve(b"mft2" + bytes(20))


def encoded(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def with_profile(path: Path, profile: bytes) -> Path:
    """A PNG file that says which colors its pixels are of."""
    Image.new("L", (1, 1)).save(path.with_name("other.png"), icc_profile=profile)
    other, content = path.with_name("other.png").read_bytes(), path.read_bytes()
    start = other.index(b"iCCP") - 4
    length = 12 + int.from_bytes(other[start : start + 4], "big")
    path.write_bytes(content[:33] + other[start : start + length] + content[33:])
    return path


@pytest.mark.parametrize("kind", ["tif", "tif with alpha", "float tif", "png", "png with alpha"])
def test_deep_gray_of_linear_light_is_seen_as_such_in_all_bits(tmp_path, caplog, kind) -> None:
    values = np.random.default_rng(0).random((10, 16, 1 + ("alpha" in kind)))
    samples = values.astype(np.float32) if "float" in kind else (values * 65535).astype(np.uint16)
    if "tif" in kind:
        path = write_tiff(tmp_path / "a.tif", samples, t34675=gray_profile(), t338=2)
    else:
        path = with_profile(saved(tmp_path / "a.png", samples, [0] * 10, 4 if "alpha" in kind else 0), gray_profile())
    picture = read_picture(path)
    assert picture.image[0, ..., 0].numpy() == pytest.approx(encoded(values[..., 0]), abs=2e-4)
    assert picture.gray and picture.metadata.icc_profile == srgb_profile() and not caplog.text


def test_deep_color_keeps_its_bits_through_a_matrix(tmp_path, caplog) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (10, 16, 3)).astype(np.uint16)
    picture = read_picture(write_tiff(tmp_path / "a.tif", levels, t34675=swapped_primaries()))
    expected = levels[..., [1, 0, 2]] / 65535
    assert picture.image[0].numpy() == pytest.approx(expected, abs=1e-4) and not caplog.text
    assert picture.metadata.icc_profile == srgb_profile()


def test_a_profile_of_other_means_is_applied_in_8_bits_and_told(tmp_path, caplog) -> None:
    """One of gray that leads to Lab: littleCMS knows it."""
    levels = np.random.default_rng(0).integers(0, 65536, (10, 16, 1)).astype(np.uint16)
    image = read_picture(write_tiff(tmp_path / "b.tif", levels, t34675=gray_profile(pcs=b"Lab "))).image * 255
    assert torch.equal(image, image.round())
    assert "b.tif: its color profile is applied in 8 bits" in caplog.text


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_with_a_profile_of_srgb_is_taken_as_it_is(tmp_path, caplog, dtype) -> None:
    """As programs write it that know one profile only."""
    levels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (10, 16, 1)).astype(dtype)
    picture = read_picture(write_tiff(tmp_path / "a.tif", levels, t34675=srgb_profile()))
    assert picture.image[0, ..., :1].numpy() == pytest.approx(levels / np.iinfo(dtype).max, abs=1e-6)
    assert picture.gray and not caplog.text


SRGB_PRIMARIES = ((28578, 14581, 912), (25241, 46981, 6362), (9376, 3972, 46799))
HP_TABLE = b"curv\0\0\0\0" + struct.pack(
    ">I1024H", 1024, *(round(65535 * value) for value in read_curve(CURVES["para 3"])(np.linspace(0, 1, 1024)))
)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("curve", [CURVES["para 3"], CURVES["para 4"], HP_TABLE], ids=["formula", "longer", "table"])
def test_what_a_profile_of_srgb_is_called_does_not_matter(tmp_path, dtype, curve) -> None:
    levels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (10, 16, 3)).astype(dtype)
    profile = color_profile(curve, SRGB_PRIMARIES)
    picture = read_picture(write_tiff(tmp_path / "a.tif", levels, t34675=profile))
    assert picture.image[0].numpy() == pytest.approx(levels / np.iinfo(dtype).max, abs=1e-7)
    assert picture.metadata.icc_profile == profile


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("curve", "power"), [(LINEAR, 1.0), (GAMMA_2_2, 563 / 256)], ids=["linear", "2.2"])
def test_a_profile_that_is_called_srgb_and_is_another_is_applied(
    tmp_path, caplog, dtype, channels, curve, power
) -> None:
    """Of one curve for three primaries, as editors keep light; gray pictures may have it too."""
    levels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (10, 16, channels)).astype(dtype)
    profile = color_profile(curve, SRGB_PRIMARIES).replace(b"Test\0", b"sRGB\0")
    picture = read_picture(write_tiff(tmp_path / "a.tif", levels, t34675=profile))
    expected = np.broadcast_to(encoded((levels / np.iinfo(dtype).max) ** power), (10, 16, 3))
    assert picture.image[0].numpy() == pytest.approx(expected, abs=0.006 if dtype == np.uint8 else 1e-3)
    assert picture.metadata.icc_profile == srgb_profile() and not caplog.text


def with_gamma(path: Path, gamma: float, *more: bytes) -> Path:
    """A PNG file with the chunk gAMA, and others, behind its header."""
    content = path.read_bytes()
    bodies = [b"gAMA" + struct.pack(">I", round(100_000 * gamma)), *more]
    chunks = (struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) for body in bodies)
    path.write_bytes(content[:33] + b"".join(chunks) + content[33:])
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_gamma_of_a_png_without_a_profile_is_undone(tmp_path, dtype, channels) -> None:
    top, color_type = np.iinfo(dtype).max, {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    levels = np.random.default_rng(0).integers(0, top, (300, 6, channels)).astype(dtype)
    if dtype == np.uint16:
        saved(tmp_path / "a.png", levels, [0] * 300, color_type)
    else:
        Image.fromarray(levels.squeeze(-1) if channels == 1 else levels).save(tmp_path / "a.png")
    picture = read_picture(with_gamma(tmp_path / "a.png", 1.0))
    colors = levels[..., : 3 if channels > 2 else 1] / top
    assert picture.image[0].numpy() == pytest.approx(np.broadcast_to(encoded(colors), (300, 6, 3)), abs=2e-4)
    assert picture.alpha is None or picture.alpha[0].numpy() == pytest.approx(levels[..., -1] / top, abs=1e-6)


@pytest.mark.parametrize(("gamma", "more"), [(0.45455, []), (0.0, []), (1.0, [b"sRGB\0"])])
def test_a_gamma_of_srgb_and_one_that_is_overruled_change_nothing(tmp_path, gamma, more) -> None:
    levels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Image.fromarray(levels).save(tmp_path / "a.png")
    image = read_picture(with_gamma(tmp_path / "a.png", gamma, *more)).image[0].numpy()
    assert np.array_equal(np.rint(image * 255), levels)
