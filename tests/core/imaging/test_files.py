"""Known answers at the door: every picture mode, orientation, profiles, rounding, and files that are no pictures."""

from __future__ import annotations

import _thread
import logging
import signal
import struct
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from autodir_core.cli.console import prepare_warnings
from autodir_core.errors import InputError
from autodir_core.imaging.color import srgb_profile
from autodir_core.imaging.files import Picture, read_picture, write_picture
from autodir_core.imaging.formats.encoding import quiet_pillow
from autodir_core.imaging.formats.metadata import Metadata
from autodir_core.imaging.layout import center_crop

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def saved(folder: Path, values: np.ndarray, name: str = "picture.png", mode: str | None = None, **options) -> Path:
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(folder / name, **options)
    return folder / name


def pixels(picture: Picture) -> list:
    assert picture.image.dtype == torch.float32
    return (picture.image[0] * 255).tolist()


def colors(*row: tuple[int, ...]) -> np.ndarray:
    return np.array([row], np.uint8)


def denied(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestModes:
    def test_rgb_is_exact(self, tmp_path):
        picture = read_picture(saved(tmp_path, colors((1, 2, 254), RED)))
        assert picture.image.shape == (1, 1, 2, 3)
        assert torch.equal(picture.image, torch.tensor([[[[1, 2, 254], [255, 0, 0]]]]) / 255)
        assert picture.alpha is None

    def test_gray_becomes_three_equal_channels(self, tmp_path):
        assert pixels(read_picture(saved(tmp_path, np.array([[0, 51]], np.uint8)))) == [[[0] * 3, [51] * 3]]

    def test_one_bit(self, tmp_path):
        picture = read_picture(saved(tmp_path, np.array([[0, 255]], np.uint8), mode="1"))
        assert pixels(picture) == [[[0] * 3, [255] * 3]]

    @pytest.mark.parametrize("name", ["gray.png", "gray.tif"])
    def test_16_bit_gray_keeps_its_depth(self, tmp_path, name):
        picture = read_picture(saved(tmp_path, np.array([[0, 257, 258, 65535]], np.uint16), name))
        expected = torch.tensor([0, 257, 258, 65535], dtype=torch.float64) / 65535
        assert torch.equal(picture.image[0, 0, :, 1], expected.float())

    def test_big_endian_16_bit_gray(self, tmp_path):
        Image.frombytes("I;16B", (2, 1), struct.pack(">2H", 256, 65535)).save(tmp_path / "gray.tif")
        assert read_picture(tmp_path / "gray.tif").image[0, 0, :, 0].tolist() == pytest.approx([256 / 65535, 1])

    @pytest.mark.parametrize(("values", "top"), [([0, 300, 65535], 65535), ([0, 300, 2**31 - 1], 2**31 - 1)])
    def test_32_bit_integers_are_scaled_by_the_range_they_need(self, tmp_path, values, top):
        picture = read_picture(saved(tmp_path, np.array([values], np.int32), "gray.tif"))
        assert picture.image[0, 0, :, 2].tolist() == pytest.approx([value / top for value in values])

    @pytest.mark.parametrize(("values", "top"), [([0, 0.25, 0.5], 1), ([-3, 51, 255], 255), ([0, 300, 65535], 65535)])
    def test_float_is_scaled_by_the_first_range_that_holds_it(self, tmp_path, values, top):
        picture = read_picture(saved(tmp_path, np.array([values], np.float32), "gray.tif"))
        assert picture.image[0, 0, :, 0].tolist() == pytest.approx([max(value, 0) / top for value in values])

    @pytest.mark.parametrize(("value", "says"), [(float("nan"), "not finite"), (1e6, "scale them to 0..1")])
    def test_float_without_a_usable_range_is_refused(self, tmp_path, value, says):
        with pytest.raises(InputError, match=says):
            read_picture(saved(tmp_path, np.array([[0, value]], np.float32), "gray.tif"))

    def test_what_is_cut_off_is_told(self, tmp_path, caplog):
        read_picture(saved(tmp_path, np.array([[-2, 3]], np.float32), "gray.tif"))
        assert "values up to 3 are cut off at 1 in what is made of it; --keep-range" in caplog.text
        assert "values down to -2 are cut off at 0" in caplog.text

    def test_16_bit_color_of_other_formats_comes_as_8_bit_and_says_so(self, tmp_path, caplog):
        path = tmp_path / "deep.ppm"
        path.write_bytes(b"P6 1 1 65535\n" + struct.pack(">3H", 0x1234, 0xFFFF, 0x00FF))
        picture = read_picture(path)
        assert picture.image[0, 0, 0].tolist() == pytest.approx([0x12 / 255, 1, 0], abs=1.1 / 255)
        assert "deep.ppm: its 16-bit colors are read as 8 bits" in caplog.text and picture.depth == 8

    def test_alpha_is_kept_and_colors_under_it_stay(self, tmp_path):
        picture = read_picture(saved(tmp_path, colors((9, 8, 7, 0), (255, 0, 0, 51))))
        assert pixels(picture) == [[[9, 8, 7], [255, 0, 0]]]
        assert picture.alpha is not None and picture.alpha.shape == (1, 1, 2)
        assert (picture.alpha * 255).tolist() == [[[0, 51]]]

    @pytest.mark.parametrize("name", ["a.tif", "deep.tif", "a.gif", "a.webp"])
    def test_further_pages_and_frames_are_told_where_they_are_lost(self, tmp_path, caplog, name):
        pages = [Image.new("RGB" if name != "deep.tif" else "I;16", (8, 6), color) for color in (0, 100, 250)]
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        picture = read_picture(tmp_path / name)
        assert not caplog.text
        write_picture(tmp_path / "b.png", picture.image, metadata=picture.metadata)
        assert "b.png: 2 further pictures of its source left out" in caplog.text

    def test_a_camera_raw_file_is_no_small_preview(self, tmp_path):
        Image.new("RGB", (8, 6)).save(tmp_path / "a.nef", "TIFF")
        with pytest.raises(InputError, match="camera raw file; develop"):
            read_picture(tmp_path / "a.nef")

    def test_gray_with_alpha(self, tmp_path):
        picture = read_picture(saved(tmp_path, colors((40, 40, 40, 10)), mode="LA"))
        assert pixels(picture) == [[[40, 40, 40]]]
        assert picture.alpha is not None and picture.alpha.item() == pytest.approx(10 / 255)

    def test_palette_with_and_without_transparency(self, tmp_path):
        image = Image.new("P", (2, 1))
        image.putpalette([*RED, *BLUE])
        image.putpixel((1, 0), 1)
        image.save(tmp_path / "opaque.png")
        image.save(tmp_path / "clear.png", transparency=bytes([255, 64]))
        opaque, clear = read_picture(tmp_path / "opaque.png"), read_picture(tmp_path / "clear.png")
        assert pixels(opaque) == pixels(clear) == [[list(RED), list(BLUE)]]
        assert opaque.alpha is None
        assert clear.alpha is not None and (clear.alpha * 255).round().tolist() == [[[255, 64]]]

    def test_color_key_transparency(self, tmp_path):
        picture = read_picture(saved(tmp_path, colors(RED, GREEN), transparency=GREEN))
        assert picture.alpha is not None and picture.alpha.tolist() == [[[1, 0]]]

    def test_cmyk(self, tmp_path):
        saved(tmp_path, np.full((8, 8, 3), WHITE, np.uint8), "print.jpg", mode="CMYK")
        assert read_picture(tmp_path / "print.jpg").image.min() > 0.98

    def test_first_frame_of_an_animation(self, tmp_path):
        first, second = (Image.new("RGB", (2, 2), color) for color in (RED, BLUE))
        first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
        assert pixels(read_picture(tmp_path / "moving.gif"))[0][0] == list(RED)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    path = saved(tmp_path, colors(RED, BLUE), exif=exif)
    assert pixels(read_picture(path)) == [[list(RED)], [list(BLUE)]]


class TestProfiles:
    def test_another_profile_is_converted_to_srgb(self, tmp_path):
        profile = swapped_primaries()
        assert pixels(read_picture(saved(tmp_path, colors(RED), icc_profile=profile)))[0][0] == pytest.approx(
            GREEN, abs=3
        )

    def test_alpha_survives_the_conversion(self, tmp_path):
        picture = read_picture(saved(tmp_path, colors((*RED, 51)), icc_profile=swapped_primaries()))
        assert pixels(picture)[0][0] == pytest.approx(GREEN, abs=3)
        assert picture.alpha is not None and picture.alpha.item() == pytest.approx(0.2)

    def test_srgb_profile_changes_nothing(self, tmp_path):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        values = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
        assert pixels(read_picture(saved(tmp_path, values, icc_profile=profile))) == values.tolist()

    @pytest.mark.parametrize("length", [20, 200])
    def test_a_broken_profile_is_reported_and_ignored(self, tmp_path, caplog, length):
        profile = swapped_primaries()[:length]
        with caplog.at_level(logging.WARNING):
            picture = read_picture(saved(tmp_path, colors((10, 20, 30)), icc_profile=profile))
        assert pixels(picture) == [[[10, 20, 30]]]
        assert "profile cannot be used" in caplog.text


class TestNoPictures:
    def refuse(self, path: Path, says: str) -> None:
        with pytest.raises(InputError, match=says) as caught:
            read_picture(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)

    def test_missing(self, tmp_path):
        self.refuse(tmp_path / "none.png", "does not exist")

    def test_folder(self, tmp_path):
        self.refuse(tmp_path, "is a folder")

    def test_empty(self, tmp_path):
        (tmp_path / "a.png").touch()
        self.refuse(tmp_path / "a.png", "is empty")

    def test_text_named_png(self, tmp_path):
        (tmp_path / "a.png").write_text("hello")
        self.refuse(tmp_path / "a.png", "is not a picture")

    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.gif"])
    def test_cut_off(self, tmp_path, name):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        path = saved(tmp_path, noise, name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        self.refuse(path, r"damaged or cut off|is not a picture")

    def test_a_palette_that_is_missing(self, tmp_path):
        Image.new("P", (4, 4)).save(tmp_path / "a.png")
        content = (tmp_path / "a.png").read_bytes()
        at = content.index(b"PLTE") - 4
        (length,) = struct.unpack_from(">I", content, at)
        (tmp_path / "a.png").write_bytes(content[:at] + content[at + 12 + length :])
        self.refuse(tmp_path / "a.png", r"damaged or cut off \(its palette is missing\)")

    def test_a_part_that_claims_all_memory(self, tmp_path):
        """A header of JPEG 2000 with its length in eight bytes."""
        start = struct.pack(">I4s4s", 12, b"jP  ", b"\r\n\x87\n")
        (tmp_path / "a.jp2").write_bytes(start + struct.pack(">I4sQ", 1, b"jp2h", 2**62))
        self.refuse(tmp_path / "a.jp2", "damaged or cut off")

    @pytest.mark.parametrize("name", ["a.heic", "a.jpg"])
    def test_a_heic_without_its_package(self, tmp_path, monkeypatch, name):
        monkeypatch.setattr("autodir_core.imaging.paths.find_spec", lambda _: None)
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
        self.refuse(tmp_path / name, "is a HEIC picture, which needs the package pillow-heif")

    def test_a_cut_off_avif_is_no_heic(self, tmp_path):
        (tmp_path / "a.avif").write_bytes(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf")
        with pytest.raises(InputError) as refused:
            read_picture(tmp_path / "a.avif")
        assert "HEIC" not in str(refused.value)

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("a.mp4", "is not a picture; the command batch restores and assesses films"),
            ("a.MPG", "is not a picture; the command batch"),
            ("a.cr3", "is a camera raw file; develop camera raw files to TIFF or JPEG first"),
            ("a.jpg", "is not a picture; give a format such as PNG, JPEG, WebP, TIFF or AVIF"),
        ],
    )
    def test_what_to_do_instead(self, tmp_path, name, told):
        (tmp_path / name).write_bytes(b"\0\0\1\xb3" + bytes(400))
        self.refuse(tmp_path / name, told)

    @pytest.mark.parametrize(
        ("start", "told"),
        [
            (b"v/1\x01\2\0\0\0", "an OpenEXR file, which is not read; convert it to a float TIFF file"),
            (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "a Radiance HDR file, .* a float TIFF file"),
            (b"\xff\x0a\xfa\x1f", "a JPEG XL file, .* convert it to PNG"),
            (b"%PDF-1.7\n", "a PDF document, .* convert it to PNG"),
        ],
    )
    def test_a_format_that_is_not_read_is_named(self, tmp_path, start, told):
        (tmp_path / "a.png").write_bytes(start + bytes(400))
        self.refuse(tmp_path / "a.png", told)

    def test_postscript_is_not_run(self, tmp_path):
        Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
        self.refuse((tmp_path / "a.eps").rename(tmp_path / "a.png"), "is not a picture")

    def test_decompression_bomb(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        self.refuse(saved(tmp_path, np.zeros((5, 5), np.uint8)), "too many pixels")

    def test_what_pillow_only_warns_of_is_a_large_picture(self, tmp_path, monkeypatch, recwarn):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15)
        assert read_picture(saved(tmp_path, np.zeros((5, 5), np.uint8))).image.shape == (1, 5, 5, 3)
        assert not recwarn.list


class TestWriting:
    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.TIFF"])
    def test_every_8_bit_value_survives(self, tmp_path, name):
        image = torch.arange(256).reshape(1, 16, 16, 1).expand(-1, -1, -1, 3) / 255
        write_picture(tmp_path / name, image)
        assert torch.equal(read_picture(tmp_path / name).image, image)

    def test_values_are_rounded_and_clamped(self, tmp_path):
        values = torch.tensor([-0.5, 0.4 / 255, 0.6 / 255, 99.6 / 255, 1.7, 254.6 / 255])
        write_picture(tmp_path / "a.png", values.reshape(1, 2, 1, 3))
        assert pixels(read_picture(tmp_path / "a.png")) == [[[0, 0, 1]], [[100, 255, 255]]]

    @pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.webp"])
    def test_lossy_formats_are_close(self, tmp_path, name):
        image = torch.linspace(0, 1, 32).reshape(1, 1, 32, 1).repeat(1, 32, 1, 3)
        write_picture(tmp_path / name, image)
        assert (read_picture(tmp_path / name).image - image).abs().mean() < 0.01

    @pytest.mark.parametrize("name", ["a.png", "a.tif"])
    @pytest.mark.parametrize("alpha", [None, torch.rand(1, 5, 7)])
    def test_16_bits_are_exact_and_keep_metadata(self, tmp_path, name, alpha):
        levels = torch.from_numpy(np.random.default_rng(0).integers(0, 65536, (1, 5, 7, 3)) / 65535)
        exif = Image.Exif()
        exif[0x0110] = "Camera"
        metadata = Metadata(exif=exif.tobytes(), icc_profile=srgb_profile(), dpi=(300.0, 150.0))
        write_picture(tmp_path / name, levels.float(), alpha=alpha, metadata=metadata, depth=16)
        picture = read_picture(tmp_path / name)
        assert picture.depth == 16 and torch.equal(picture.image, levels.float())
        assert alpha is None or (picture.alpha - alpha).abs().max() <= 0.5 / 65535 + 1e-7
        found = read_picture(tmp_path / name).metadata
        assert found.icc_profile == metadata.icc_profile and b"Camera" in found.exif
        assert found.dpi == pytest.approx(metadata.dpi, abs=0.02)  # of PNG it is kept per meter
        with Image.open(tmp_path / name) as other:  # what others see
            assert np.abs(np.asarray(other)[..., :3] / 255 - levels[0].numpy()).max() < 1 / 255 or name == "a.tif"

    @pytest.mark.parametrize("depth", [8, 16])
    @pytest.mark.parametrize("alpha", [None, torch.rand(1, 5, 7)])
    @pytest.mark.parametrize("name", ["a.png", "a.tif"])
    def test_gray_is_exact(self, tmp_path, name, alpha, depth):
        top = 2**depth - 1
        levels = torch.from_numpy(np.random.default_rng(0).integers(0, top + 1, (1, 5, 7, 1)) / top).float()
        image, profile = levels.expand(1, 5, 7, 3), Metadata(icc_profile=srgb_profile())
        write_picture(tmp_path / name, image, alpha=alpha, metadata=profile, depth=depth, gray=True)
        picture = read_picture(tmp_path / name)
        assert picture.gray and picture.depth == depth and torch.equal(picture.image, image)
        assert alpha is None or (picture.alpha - alpha).abs().max() <= 0.5 / top + 1e-7
        assert picture.metadata.icc_profile == b""  # of colors, which other programs would refuse
        if alpha is None or depth == 8:
            with Image.open(tmp_path / name) as other:  # what others see
                assert other.mode == ("L" if depth == 8 else "I;16") if alpha is None else "LA"

    @pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
    def test_color_becomes_gray_by_its_luma(self, tmp_path, name):
        write_picture(tmp_path / name, torch.tensor([1.0, 0.5, 0]).expand(1, 8, 8, 3), gray=True)
        levels = read_picture(tmp_path / name).image * 255
        assert (levels - 255 * (0.299 + 0.587 / 2)).abs().max() <= 1.5

    def test_16_bits_in_a_format_of_8_are_told(self, tmp_path, caplog):
        write_picture(tmp_path / "a.jpg", torch.rand(1, 5, 7, 3), depth=16)
        assert "a.jpg: JPEG holds 8 bits a channel" in caplog.text and read_picture(tmp_path / "a.jpg").depth == 8

    def test_quality_changes_the_size(self, tmp_path):
        noise = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(0))
        for quality in (50, 100):
            write_picture(tmp_path / f"{quality}.jpg", noise, quality=quality)
        assert (tmp_path / "50.jpg").stat().st_size < (tmp_path / "100.jpg").stat().st_size / 2

    @pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
    def test_alpha_is_kept(self, tmp_path, name):
        alpha = torch.tensor([[[0, 1], [0.2, 0.8]]])
        write_picture(tmp_path / name, torch.full((1, 2, 2, 3), 0.2), alpha=alpha)
        assert torch.equal(read_picture(tmp_path / name).alpha, alpha)

    def test_jpeg_leaves_alpha_out_and_says_so(self, tmp_path, caplog):
        with caplog.at_level(logging.WARNING):
            write_picture(tmp_path / "a.jpg", torch.ones(1, 8, 8, 3), alpha=torch.zeros(1, 8, 8))
        assert "no transparency" in caplog.text
        assert read_picture(tmp_path / "a.jpg").image.min() == 1

    @pytest.mark.parametrize(
        ("name", "image", "says"),
        [
            ("a.xyz", torch.zeros(1, 1, 1, 3), "unknown suffix"),
            ("a", torch.zeros(1, 1, 1, 3), "unknown suffix"),
            ("a.png", torch.zeros(2, 1, 1, 3), "batch of 2"),
            ("a.png", torch.zeros(1, 1, 1, 4), "shape"),
            ("a.png", torch.full((1, 1, 1, 3), torch.nan), "not finite"),
            ("a.webp", torch.zeros(1, 1, 16384, 3), "cannot write"),
        ],
    )
    def test_what_cannot_be_written_leaves_nothing(self, tmp_path, name, image, says):
        with pytest.raises(InputError, match=says):
            write_picture(tmp_path / name, image)
        assert leftovers(tmp_path) == []

    def test_ctrl_c_does_not_wait_for_an_encoder(self, tmp_path, monkeypatch):
        encoding, go_on = threading.Event(), threading.Event()

        def encode(*arguments, **options):
            encoding.set()
            go_on.wait(60)

        monkeypatch.setattr(Image.Image, "save", encode)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        presser = threading.Thread(target=lambda: encoding.wait(60) and _thread.interrupt_main())
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            write_picture(tmp_path / "a.webp", torch.zeros(1, 8, 8, 3))
        assert leftovers(tmp_path) == []
        go_on.set()
        presser.join()
        signal.signal(signal.SIGINT, before)

    def test_alpha_of_another_size_is_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"\[1, 2, 2\], got \[1, 1, 1\]"):
            write_picture(tmp_path / "a.png", torch.zeros(1, 2, 2, 3), alpha=torch.zeros(1, 1, 1))


def swapped_primaries() -> bytes:
    """A profile called sRGB whose red and green primaries are exchanged: its pure red must be seen as green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    entries = {bytes(profile[offset : offset + 4]): offset for offset in range(132, 132 + 12 * count, 12)}
    red, green = entries[b"rXYZ"] + 4, entries[b"gXYZ"] + 4
    profile[red : red + 8], profile[green : green + 8] = profile[green : green + 8], profile[red : red + 8]
    return bytes(profile)


def test_a_command_whose_threads_read_shows_no_warnings_of_pillow():
    """A filter that one thread takes back is not there for another, which began to read later and ends later."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        prepare_warnings()
        first, second = quiet_pillow(), quiet_pillow()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        warnings.warn_explicit("half a bomb", Image.DecompressionBombWarning, "Image.py", 1, module="PIL.Image")
        second.__exit__(None, None, None)
    assert not shown


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("size", [(301, 260), (50, 401), (40, 33)])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_the_center_is_that_of_the_whole_picture(tmp_path: Path, mode: str, size: tuple[int, int], orientation: int):
    """To the bit, at odd sizes and turned; what is not converted is what no one looks at."""
    levels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(levels).convert("L" if mode == "I;16" else mode).convert(mode).save(path, exif=exif)
    whole, part = read_picture(path), read_picture(path, center=224)
    one, other = (center_crop(picture.image.permute(0, 3, 1, 2), 224) for picture in (whole, part))
    assert torch.equal(one, other) and (part.alpha is None) == (whole.alpha is None)
    if mode != "I;16":
        assert part.image.shape[1:3] == tuple(min(side, 224) for side in whole.image.shape[1:3])
