"""`restore` as its user meets it, with the tiny golden model."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

import autodir_core
from autodir_core.choices import PRESETS
from autodir_core.cli import parse, restorer
from autodir_core.cli.restorer import loop_settings, sampler_settings
from autodir_core.imaging.color import match_color
from autodir_core.imaging.files import read_picture, write_picture
from autodir_core.imaging.formats.deep_tiff import read_floats, write_floats
from autodir_core.imaging.formats.metadata import Metadata
from autodir_core.imaging.layout import to_uint16
from autodir_core.imaging.mask import apply_mask
from autodir_core.outputs import Verdict
from autodir_core.reporting.language import SETTINGS as SETTING_NAMES
from tests.core.cli.helpers import FAST, SETTINGS, call, names_in, pixels, saved, written
from tests.core.imaging.formats.test_metadata import photo

REFUSED = Verdict("edges moved", 1.0, 0.5, 0.25, 0.125)


def test_writes_what_the_api_gives(picture, tiny_path, tiny, tmp_path, capsys):
    out = tmp_path / "new" / "out.png"
    assert call("restore", picture, "-o", out, "--model", tiny_path, "--seed", 7, *FAST) == 0
    expected = autodir_core.restore(tiny, read_picture(picture).image, *SETTINGS, seed=7)
    assert np.array_equal(pixels(out), written(expected.image))
    assert names_in(out.parent) == ["out.png"]
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in shown[:2]] == [["photo.png:", "round", f"{n}:"] for n in (1, 2)]
    assert shown[2] == f"photo.png: stopped: limit of 2 rounds reached -> {out}"


def test_report_rounds_and_montage(picture, loaded, tmp_path, monkeypatch):
    clock = iter([10.0, 11.25, 14.0])  # the start and the ends of both rounds
    monkeypatch.setattr("autodir_core.cli.restorer.perf_counter", lambda: next(clock))
    out = tmp_path / "out.png"
    extras = "--report", "--save-rounds", "--montage", "--quiet"
    assert call("restore", picture, "-o", out, *extras, "--scm-weight", 0.5, *FAST) == 0
    told = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (told["input"], told["output"], told["seed"]) == ("photo.png", "out.png", 0)
    assert (told["settings"]["steps"], told["settings"]["scm_weight"]) == (2, 0.5)
    assert set(told["versions"]) == {"autodir", "python", "torch", "diffusers", "open_clip"}
    assert [len(done["probabilities"]) for done in told["rounds"]] == [8, 7]
    assert [done["seconds"] for done in told["rounds"]] == [1.25, 2.75]
    assert np.array_equal(pixels(tmp_path / "out_round2.png"), pixels(out))
    assert not np.array_equal(pixels(tmp_path / "out_round1.png"), pixels(out))
    assert pixels(tmp_path / "out_montage.png").shape[1] > 3 * 64
    assert not (tmp_path / "out_round3.png").exists()


def test_the_page_shows_settings_as_readers_write_them(picture, loaded, tmp_path):
    options = ["--report", "--labels", "noise,haze", "--gate", "--candidates", 2, "--strength", "0.7"]
    assert call("restore", picture, "-o", tmp_path / "o.png", *FAST, *options) == 0
    page = next(tmp_path.glob("*.html")).read_text(encoding="utf-8")
    rows = dict(re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', page.split("<h2>Settings</h2>")[1]))
    assert (rows["labels"], rows["gate"], rows["strength"], rows["prompt"]) == ("noise, haze", "on", "0.7", "-")
    told = json.loads(next(tmp_path.glob("*.json")).read_text(encoding="utf-8"))
    assert all(done["candidate"] in (0, 1) for done in told["rounds"])


def test_the_chinese_page_names_its_settings_in_chinese(picture, loaded, tmp_path):
    """All but the modules whose versions it tells."""
    assert call("restore", picture, "-o", tmp_path / "o.png", *FAST, "--report", "--language", "zh") == 0
    page = (tmp_path / "o.html").read_text(encoding="utf-8")
    names = re.findall(r'<th scope="row">(.*?)</th>', page.split("<h2>设置</h2>")[1])
    modules = ["autodir", "python", "torch", "diffusers", "open clip"]
    assert names == [*SETTING_NAMES.values(), *modules]


def test_rounds_are_what_feeds_the_next(picture, loaded, tmp_path):
    assert (
        call("restore", picture, "-o", tmp_path / "o.png", "--save-rounds", "--labels", "low resolution,no", *FAST) == 0
    )
    loop = autodir_core.LoopSettings(labels=["low resolution", "no"])
    first = autodir_core.restore(loaded, read_picture(picture).image, loop, SETTINGS[1]).rounds[0]
    assert np.array_equal(pixels(tmp_path / "o_round1.png"), written(first.generated))


def test_a_custom_prompt(picture, loaded, tmp_path, capsys):
    assert call("restore", picture, "-o", tmp_path / "o.png", "--prompt", "brighten it", "--report", *FAST) == 0
    told = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    assert (told["stopped"], told["settings"]["prompt"], len(told["rounds"])) == ("prompt", "brighten it", 1)
    assert "done: custom prompt" in capsys.readouterr().out


def test_an_empty_prompt_is_none(picture, loaded, tmp_path):
    assert call("restore", picture, "-o", tmp_path / "o.png", "--prompt", " ", "--labels", "low_resolution", *FAST) == 0
    loop = autodir_core.LoopSettings(max_rounds=2, labels=["low resolution"])
    expected = autodir_core.restore(loaded, read_picture(picture).image, loop, SETTINGS[1])
    assert np.array_equal(pixels(tmp_path / "o.png"), written(expected.image))


def test_crops_and_min_confidence_are_those_of_the_api(loaded, tmp_path, capsys):
    large, target = saved(tmp_path / "in" / "large.png", height=230, width=300), tmp_path / "o.png"
    image, sampler = read_picture(large).image, SETTINGS[1]
    seen = loaded.assess(image, crops="grid").probabilities.max().item()
    options = "--crops", "grid", "--report", "--steps", 2, "--max-rounds", 1, "--no-gate"
    assert call("restore", large, "-o", target, *options, "--min-confidence", seen - 1e-3) == 0
    expected = autodir_core.restore(loaded, image, autodir_core.LoopSettings(1, crops="grid"), sampler)
    assert np.array_equal(pixels(target), written(expected.image))
    assert call("restore", large, "-o", target, *options, "--min-confidence", seen + 1e-3, "--overwrite") == 0
    assert np.array_equal(pixels(target), pixels(large))
    assert f"done: low confidence ({expected.rounds[0].label} " in capsys.readouterr().out
    told = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    assert (told["stopped"], told["settings"]["crops"]) == ("low_confidence", "grid")
    assert told["settings"]["min_confidence"] == pytest.approx(seen + 1e-3)


def test_tiles_are_those_of_the_api(loaded, tmp_path):
    large = saved(tmp_path / "in" / "large.png", height=192, width=256)
    target = tmp_path / "o.png"
    assert call("restore", large, "-o", target, "--tile-size", 128, "--prompt", "brighten", "--report", *FAST) == 0
    loop, image = autodir_core.LoopSettings(prompt="brighten"), read_picture(large).image
    expected = autodir_core.restore(loaded.tiled(128), image, loop, SETTINGS[1]).image
    assert np.array_equal(pixels(target), written(expected))
    assert json.loads((tmp_path / "o.json").read_text())["settings"]["tile_size"] == 128


FULL = {
    "cuda": torch.cuda.OutOfMemoryError("tried to allocate 20 GiB"),
    "cpu": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
}


@pytest.mark.parametrize("full", FULL.values(), ids=FULL)
def test_a_memory_too_small_for_the_whole_gets_tiles(loaded, tmp_path, full):
    large, target = saved(tmp_path / "in" / "large.png", height=192, width=256), tmp_path / "o.png"

    def limited(network, inputs):
        if max(inputs[0].shape[-2:]) > 128:
            raise full

    with loaded.networks.vae.encoder.register_forward_pre_hook(limited):
        assert call("restore", large, "-o", target, "--prompt", "brighten", *FAST) == 0
    assert pixels(target).shape == (192, 256, 3)


def test_match_color_is_applied_to_what_is_saved(picture, loaded, tmp_path):
    assert call("restore", picture, "-o", tmp_path / "o.png", "--match-color", "adain", *FAST) == 0
    image = read_picture(picture).image
    result = autodir_core.restore(loaded, image, *SETTINGS).image
    assert np.array_equal(pixels(tmp_path / "o.png"), written(match_color(result, image, "adain")))


def test_a_refused_round_leaves_the_picture_and_is_reported(picture, loaded, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("autodir_core.pipeline.QualityGate.choose", lambda gate, before, *_: (REFUSED, before))
    options = "--gate", "--report", "--match-color", "adain"
    assert call("restore", picture, "-o", tmp_path / "o.png", *FAST, *options) == 0
    assert np.array_equal(pixels(tmp_path / "o.png"), pixels(picture)), "there is no color to match"
    assert "refused: edges moved" in capsys.readouterr().out
    told = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    assert told["settings"]["gate"] is True
    assert told["rounds"][0]["verdict"] == {"accepted": False, **asdict(REFUSED)}


@pytest.mark.parametrize(
    ("given", "gate"),
    [([], True), (["--preset", "paper"], False), (["--no-gate"], False), (["--preset", "paper", "--gate"], True)],
)
def test_the_gate_is_the_presets_unless_named(given, gate):
    arguments = parse(["restore", "x.png", "-o", "y.png", *given])
    assert loop_settings(arguments, []).gate is gate


@pytest.mark.parametrize("name", ["photo.jpg", "photo.tif", "photo.bmp"])
def test_a_clean_photo_is_copied_bit_for_bit_where_the_format_stays(loaded, tmp_path, name):
    source, exif = saved(tmp_path / name), Image.Exif()
    exif[0x0112] = 6
    with Image.open(source) as image:
        image.save(source, exif=exif)
    doubtful = "--min-confidence", 1, "--quiet"
    assert call("restore", source, "-o", tmp_path / "out/", *doubtful, *FAST) == 0
    (result,) = (tmp_path / "out").iterdir()
    assert (result.read_bytes() == source.read_bytes()) is (name != "photo.bmp")
    assert call("restore", source, "-o", tmp_path / "o.png", *doubtful, *FAST) == 0
    assert np.array_equal(pixels(tmp_path / "o.png"), written(read_picture(source).image))


def test_a_float_picture_keeps_its_range(loaded, tmp_path):
    whole = read_picture(saved(tmp_path / "a.png")).image[0].numpy() * 8 - 1
    write_floats(tmp_path / "in" / "scene.tif", whole, Metadata(exif=photo(), icc_profile=b"profile"))
    scene = read_floats(tmp_path / "in" / "scene.tif")
    assert scene and np.array_equal(scene.color, whole)
    assert call("restore", tmp_path / "in", "-o", tmp_path / "out", "--keep-range", *FAST) == 0
    restored = read_floats(tmp_path / "out" / "scene_restored.tif")
    assert restored and restored.metadata == scene.metadata and restored.metadata.icc_profile == b"profile"
    result = restored.color
    cut = torch.from_numpy(whole.clip(0, 1))[None]
    expected = autodir_core.restore(loaded, cut, *SETTINGS).image[0].numpy() + (whole - whole.clip(0, 1))
    assert np.array_equal(result, expected) and result.max() > 4 and result.min() < -0.5
    doubtful = "--keep-range", "--min-confidence", 1
    assert call("restore", tmp_path / "in", "-o", tmp_path / "clean", *doubtful, *FAST) == 0
    clean = tmp_path / "clean" / "scene_restored.tif"
    assert clean.read_bytes() == (tmp_path / "in" / "scene.tif").read_bytes()


def test_a_range_that_cannot_be_kept_is_refused(loaded, tmp_path, capsys):
    (tmp_path / "a.exr").write_bytes(b"v/1\x01" + bytes(400))
    assert call("restore", tmp_path / "a.exr", "-o", tmp_path / "o.tif", "--keep-range", *FAST) == 2
    assert "a.exr is an OpenEXR file, which is not read; convert it to a float TIFF" in capsys.readouterr().err
    write_floats(tmp_path / "nan.tif", np.full((4, 4, 3), np.nan, np.float32))
    assert call("restore", tmp_path / "nan.tif", "-o", tmp_path / "o.tif", "--keep-range", *FAST) == 2
    assert "not finite" in capsys.readouterr().err
    write_floats(tmp_path / "hdr.tif", np.full((4, 4, 3), 9, np.float32))
    assert call("restore", tmp_path / "hdr.tif", "-o", tmp_path / "o.png", "--keep-range", *FAST) == 2
    assert "--keep-range writes float TIFF files" in capsys.readouterr().err
    assert call("restore", tmp_path / "hdr.tif", "-o", tmp_path / "o.tif", "--keep-range", "--depth", 8, *FAST) == 2
    assert "leave --depth out" in capsys.readouterr().err
    assert not (tmp_path / "o.tif").exists() and not (tmp_path / "o.png").exists()


def test_a_picture_of_8_bits_has_no_range_to_keep(picture, loaded, tmp_path):
    for name, options in (("plain", ()), ("kept", ("--keep-range",))):
        assert call("restore", picture, "-o", tmp_path / f"{name}.png", *options, *FAST) == 0
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "kept.png").read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_restored_picture_keeps_its_16_bits(loaded, tmp_path, suffix):
    image = read_picture(saved(tmp_path / "a.png")).image
    source, result = tmp_path / f"deep{suffix}", tmp_path / f"o{suffix}"
    write_picture(source, image, depth=16)
    assert call("restore", source, "-o", result, "--quiet", *FAST) == 0
    assert read_picture(result).depth == 16
    expected = autodir_core.restore(loaded, read_picture(source).image, *SETTINGS).image
    assert np.array_equal(to_uint16(read_picture(result).image), to_uint16(expected))
    assert call("restore", source, "-o", result, "--overwrite", "--depth", 8, "--quiet", *FAST) == 0
    assert read_picture(result).depth == 8


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "deep.png", "float.tif"])
def test_a_gray_picture_stays_gray(loaded, tmp_path, name):
    image = read_picture(saved(tmp_path / "color.png")).image
    if name == "float.tif":
        write_floats(tmp_path / name, image[0, ..., :1].numpy())
    else:
        write_picture(tmp_path / name, image, gray=True, depth=16 if name == "deep.png" else 8)
    result = tmp_path / f"o.{name.split('.')[1]}"
    assert call("restore", tmp_path / name, "-o", result, "--quiet", "--keep-range", *FAST) == 0
    before, after = read_picture(tmp_path / name), read_picture(result)
    assert after.gray and after.depth == before.depth and not torch.equal(after.image, before.image)


def test_floats_become_16_bits_and_that_is_told(loaded, tmp_path, caplog):
    write_floats(tmp_path / "a.tif", read_picture(saved(tmp_path / "a.png")).image[0].numpy())
    assert call("restore", tmp_path / "a.tif", "-o", tmp_path / "o.tif", "--quiet", *FAST) == 0
    assert read_picture(tmp_path / "o.tif").depth == 16 and "o.tif: written with 16 bits a channel" in caplog.text


def test_a_restored_photo_keeps_its_data(loaded, tmp_path):
    source = saved(tmp_path / "photo.jpg")
    with Image.open(source) as image:
        image.save(source, exif=photo())
    assert call("restore", source, "-o", tmp_path / "o.jpg", "--quiet", *FAST) == 0
    with Image.open(tmp_path / "o.jpg") as image:
        exif = image.getexif()
    assert image.size == (48, 64) and (exif[0x0112], exif[0x0110]) == (1, "Phone")
    assert exif.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"


def test_a_mask_limits_the_restoration(picture, loaded, tmp_path):
    mask = torch.zeros(1, 24, 32, 3)
    mask[:, :, 16:] = 1
    write_picture(tmp_path / "masks" / "photo.png", mask)
    write_picture(tmp_path / "masks" / "other.png", 1 - mask)
    image = read_picture(picture).image
    expected = apply_mask(image, autodir_core.restore(loaded, image, *SETTINGS).image, mask)
    for given in ("masks/photo.png", "masks"):
        assert call("restore", picture, "-o", tmp_path / "o.png", "--overwrite", "--mask", tmp_path / given, *FAST) == 0
        assert np.array_equal(pixels(tmp_path / "o.png"), written(expected))
    assert np.array_equal(pixels(tmp_path / "o.png")[:, :30], pixels(picture)[:, :30])
    assert not np.array_equal(pixels(tmp_path / "o.png")[:, 34:], pixels(picture)[:, 34:])


def test_alpha_is_kept(picture, loaded, tmp_path):
    alpha = torch.linspace(0, 1, 64).expand(1, 48, 64)
    write_picture(picture, read_picture(picture).image, alpha=alpha)
    assert call("restore", picture, "-o", tmp_path / "o.png", *FAST) == 0
    assert np.array_equal(pixels(tmp_path / "o.png")[..., 3], pixels(picture)[..., 3])


def test_quiet_prints_nothing(picture, loaded, tmp_path, capsys):
    assert call("restore", picture, "-o", tmp_path / "o.png", "--quiet", *FAST) == 0
    assert capsys.readouterr() == ("", "")


def test_a_thin_picture(loaded, tmp_path):
    thin = saved(tmp_path / "thin.png", height=1, width=33)
    assert call("restore", thin, "-o", tmp_path / "o.png", *FAST) == 0
    assert pixels(tmp_path / "o.png").shape == (1, 33, 3)


def test_without_pictures_the_sample_is_restored(picture, loaded, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("autodir_core.cli.restore.SAMPLE", picture)
    assert call("restore", "-o", tmp_path / "o.png", *FAST) == 0
    assert (tmp_path / "o.png").exists()
    assert "sample" in capsys.readouterr().out


class TestTroubleMidway:
    def test_ctrl_c_leaves_nothing_half_written(self, picture, loaded, tmp_path, monkeypatch, capsys):
        predict, calls = loaded.predict_noise, []

        def interrupted(*arguments):
            calls.append(arguments)
            if len(calls) == 3:  # in the second round
                raise KeyboardInterrupt
            return predict(*arguments)

        monkeypatch.setattr(loaded, "predict_noise", interrupted)
        extras = "--save-rounds", "--report", "--montage"
        assert call("restore", picture, "-o", tmp_path / "out", *extras, *FAST) == 130
        assert names_in(tmp_path / "out") == []
        assert capsys.readouterr().err == "autodir: interrupted; what was finished is kept\n"

    @pytest.mark.parametrize("full", FULL.values(), ids=FULL)
    def test_a_memory_too_small_for_the_smallest_tiles(self, picture, loaded, refused, tmp_path, monkeypatch, full):
        def fail(*arguments):
            raise full

        monkeypatch.setattr(loaded, "predict_noise", fail)
        assert "(64 x 48) does not fit" in refused("restore", picture, "-o", tmp_path / "o.png", *FAST)

    @pytest.mark.parametrize("where", ["autodir_core.cli.restorer.read_picture", "autodir_core.cli.restorer.restore"])
    def test_one_that_memory_does_not_hold_costs_no_other(self, loaded, tmp_path, monkeypatch, capsys, where):
        for number in range(3):
            saved(tmp_path / "in" / f"{number}.png", width=64 + number)
        work, calls = getattr(restorer, where.rpartition(".")[2]), []

        def limited(*arguments, **options):
            calls.append(arguments)
            if len(calls) == 2:
                raise MemoryError
            return work(*arguments, **options)

        monkeypatch.setattr(where, limited)
        assert call("restore", tmp_path / "in", "-o", tmp_path / "out", "--quiet", *FAST) == 1
        assert names_in(tmp_path / "out") == ["0_restored.png", "2_restored.png"]
        first, last = capsys.readouterr().err.splitlines()
        assert "1.png" in first and "does not fit into the memory of the cpu" in first
        assert last == "autodir: 1 of 3 pictures failed"

    def test_offload_from_a_cpu(self, picture, refused, tmp_path):
        said = refused("restore", picture, "-o", tmp_path / "o.png", "--offload", *FAST)
        assert "offload needs a device with memory of its own, such as cuda, got cpu" in said

    def test_a_memory_that_does_not_hold_the_model(self, picture, refused, tmp_path, monkeypatch):
        def full(*chosen, **options):
            raise RuntimeError("unable to mmap 9 bytes from file <model>: Cannot allocate memory (12)")

        monkeypatch.setattr("autodir_core.model.load_autodir", full)
        assert "there is not enough memory" in refused("restore", picture, "-o", tmp_path / "o.png", *FAST)

    def test_a_full_disk(self, picture, loaded, refused, tmp_path, monkeypatch):
        def full(*arguments, **options):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("autodir_core.cli.restorer.write_picture", full)
        assert "No space left" in refused("restore", picture, "-o", tmp_path / "o.png", "--quiet", *FAST)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_the_settings(picture, loaded, tmp_path, name):
    given = "--preset", name, "--steps", 1, "--max-rounds", 1, "--report"
    assert call("restore", picture, "-o", tmp_path / "o.png", *given) == 0
    told = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))["settings"]
    loop, sampler = autodir_core.preset(name)
    assert (told["preset"], told["steps"], told["sampler"]) == (name, 1, sampler.sampler), "an option wins"
    assert tuple(told["reduced_labels"]) == tuple(loop.reduced_labels)


def test_best_is_the_default():
    arguments = parse(["restore", "x.png", "-o", "y.png"])
    loop, sampler = autodir_core.preset("best")
    assert sampler_settings(arguments) == sampler and loop_settings(arguments, []).reduced_labels == loop.reduced_labels


def test_without_a_terminal_the_stages_of_large_pictures_are_lines(loaded, tmp_path, capsys):
    for height, width, lines in ((64, 64, 0), (200, 260, 4)):
        source = saved(tmp_path / f"{height}.png", height=height, width=width)
        given = "--tile-size", 128, "--max-rounds", 1, "--steps", 5
        assert call("restore", source, "-o", tmp_path / f"out{height}.png", *given) == 0
        shown = [line for line in capsys.readouterr().out.splitlines() if line.endswith("tiles")]
        assert len(shown) == lines, shown
