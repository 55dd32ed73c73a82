"""The command line as its user meets it: through `main`, with the tiny golden model."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

import autodir_core
from autodir_core.cli import COMMANDS, build_parser, main
from autodir_core.imaging.color import match_color
from autodir_core.imaging.files import read_picture, write_picture
from tests.golden_weights import photo

ROOT = Path(__file__).resolve().parents[3]
FAST = ("--steps", "2", "--max-rounds", "2", "--device", "cpu")
SETTINGS = autodir_core.LoopSettings(max_rounds=2), autodir_core.SamplerSettings(steps=2)


@pytest.fixture
def picture(tmp_path) -> Path:
    return saved(tmp_path / "in" / "photo.png", seed=1)


@pytest.fixture
def loaded(monkeypatch, tiny):
    """Every command finds the tiny model already loaded."""
    monkeypatch.setattr("autodir_core.model.load_autodir", lambda *chosen: tiny)
    return tiny


@pytest.fixture
def refused(capsys):
    """Runs a command that must end with one line of error and exit code 2; the line."""

    def run(*argv: object) -> str:
        assert call(*argv) == 2
        shown = capsys.readouterr().err.splitlines()
        assert len(shown) == 1
        assert shown[0].startswith("autodir: error: ")
        return shown[0]

    return run


def call(*argv: object) -> int:
    return main([str(value) for value in argv])


def saved(path: Path, *, height: int = 48, width: int = 64, seed: int = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(photo(height, width, seed)).save(path)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def written(image: torch.Tensor) -> np.ndarray:
    """What a PNG of [1, H, W, 3] holds."""
    return (image[0].clamp(0, 1) * 255).round().byte().numpy()


class TestRestore:
    def test_writes_what_the_api_gives(self, picture, tiny_path, tiny, tmp_path, capsys):
        out = tmp_path / "new" / "out.png"
        assert call("restore", picture, "-o", out, "--model", tiny_path, "--seed", 7, *FAST) == 0
        expected = autodir_core.restore(tiny, read_picture(picture).image, *SETTINGS, seed=7)
        assert np.array_equal(pixels(out), written(expected.image))
        assert names_in(out.parent) == ["out.png"]
        shown = capsys.readouterr().out.splitlines()
        assert [line.split()[:3] for line in shown[:2]] == [["photo.png:", "round", f"{n}:"] for n in (1, 2)]
        assert shown[2] == f"photo.png: done: 2 rounds used up -> {out}"

    def test_report_rounds_and_sheet(self, picture, loaded, tmp_path):
        out = tmp_path / "out.png"
        extras = "--report", "--save-rounds", "--sheet", "--quiet"
        assert call("restore", picture, "-o", out, *extras, "--scm-weight", 0.5, *FAST) == 0
        told = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
        assert (told["input"], told["output"], told["seed"]) == ("photo.png", "out.png", 0)
        assert (told["settings"]["steps"], told["settings"]["scm_weight"]) == (2, 0.5)
        assert set(told["versions"]) == {"autodir", "python", "torch", "diffusers", "open_clip"}
        assert [len(done["probabilities"]) for done in told["rounds"]] == [8, 7]
        assert all(done["seconds"] >= 0 for done in told["rounds"])
        assert np.array_equal(pixels(tmp_path / "out_round2.png"), pixels(out))
        assert not np.array_equal(pixels(tmp_path / "out_round1.png"), pixels(out))
        assert pixels(tmp_path / "out_sheet.png").shape[1] > 3 * 64
        assert not (tmp_path / "out_round3.png").exists()

    def test_rounds_are_what_feeds_the_next(self, picture, loaded, tmp_path):
        assert (
            call("restore", picture, "-o", tmp_path / "o.png", "--save-rounds", "--labels", "low resolution,no", *FAST)
            == 0
        )
        loop = autodir_core.LoopSettings(labels=["low resolution", "no"])
        first = autodir_core.restore(loaded, read_picture(picture).image, loop, SETTINGS[1]).rounds[0]
        assert np.array_equal(pixels(tmp_path / "o_round1.png"), written(first.generated))

    def test_own_words(self, picture, loaded, tmp_path, capsys):
        assert call("restore", picture, "-o", tmp_path / "o.png", "--prompt", "brighten it", "--report", *FAST) == 0
        told = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
        assert (told["stopped"], told["settings"]["prompt"], len(told["rounds"])) == ("prompt", "brighten it", 1)
        assert "done: your own words" in capsys.readouterr().out

    def test_view_and_threshold_are_those_of_the_api(self, loaded, tmp_path, capsys):
        large, target = saved(tmp_path / "in" / "large.png", height=230, width=300), tmp_path / "o.png"
        image, sampler = read_picture(large).image, SETTINGS[1]
        seen = loaded.assess(image, crops="grid").probabilities.max().item()
        options = "--crops", "grid", "--report", "--steps", 2, "--max-rounds", 1
        assert call("restore", large, "-o", target, *options, "--min-confidence", seen - 1e-3) == 0
        expected = autodir_core.restore(loaded, image, autodir_core.LoopSettings(1, crops="grid"), sampler)
        assert np.array_equal(pixels(target), written(expected.image))
        assert call("restore", large, "-o", target, *options, "--min-confidence", seen + 1e-3, "--overwrite") == 0
        assert np.array_equal(pixels(target), pixels(large))
        assert f"done: low confidence ({expected.rounds[0].label} " in capsys.readouterr().out
        told = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
        assert (told["stopped"], told["settings"]["crops"]) == ("low_confidence", "grid")
        assert told["settings"]["min_confidence"] == pytest.approx(seen + 1e-3)

    def test_squares_are_those_of_the_api(self, loaded, tmp_path):
        large = saved(tmp_path / "in" / "large.png", height=192, width=256)
        target = tmp_path / "o.png"
        assert call("restore", large, "-o", target, "--tile", 128, "--prompt", "brighten", "--report", *FAST) == 0
        loop, image = autodir_core.LoopSettings(prompt="brighten"), read_picture(large).image
        expected = autodir_core.restore(loaded.tiled(128), image, loop, SETTINGS[1]).image
        assert np.array_equal(pixels(target), written(expected))
        assert json.loads((tmp_path / "o.json").read_text())["settings"]["tile"] == 128

    def test_a_gpu_too_small_for_the_whole_gets_squares(self, loaded, tmp_path):
        large, target = saved(tmp_path / "in" / "large.png", height=192, width=256), tmp_path / "o.png"

        def limited(network, inputs):
            if max(inputs[0].shape[-2:]) > 128:
                raise torch.cuda.OutOfMemoryError("tried to allocate 20 GiB")

        with loaded.networks.vae.encoder.register_forward_pre_hook(limited):
            assert call("restore", large, "-o", target, "--prompt", "brighten", *FAST) == 0
        assert pixels(target).shape == (192, 256, 3)

    def test_match_color_is_applied_to_what_is_saved(self, picture, loaded, tmp_path):
        assert call("restore", picture, "-o", tmp_path / "o.png", "--match-color", "adain", *FAST) == 0
        image = read_picture(picture).image
        result = autodir_core.restore(loaded, image, *SETTINGS).image
        assert np.array_equal(pixels(tmp_path / "o.png"), written(match_color(result, image, "adain")))

    def test_alpha_is_kept(self, picture, loaded, tmp_path):
        alpha = torch.linspace(0, 1, 64).expand(1, 48, 64)
        write_picture(picture, read_picture(picture).image, alpha=alpha)
        assert call("restore", picture, "-o", tmp_path / "o.png", *FAST) == 0
        assert np.array_equal(pixels(tmp_path / "o.png")[..., 3], pixels(picture)[..., 3])

    def test_quiet_prints_nothing(self, picture, loaded, tmp_path, capsys):
        assert call("restore", picture, "-o", tmp_path / "o.png", "--quiet", *FAST) == 0
        assert capsys.readouterr() == ("", "")

    def test_a_thin_picture(self, loaded, tmp_path):
        thin = saved(tmp_path / "thin.png", height=1, width=33)
        assert call("restore", thin, "-o", tmp_path / "o.png", *FAST) == 0
        assert pixels(tmp_path / "o.png").shape == (1, 33, 3)

    def test_without_pictures_the_sample_is_restored(self, picture, loaded, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr("autodir_core.cli.restore.SAMPLE", picture)
        assert call("restore", "-o", tmp_path / "o.png", *FAST) == 0
        assert (tmp_path / "o.png").exists()
        assert "sample" in capsys.readouterr().out


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        for i, name in enumerate(["a.jpg", "b.png", "c.bmp"]):
            saved(tmp_path / "in" / name, seed=i)
        return tmp_path / "in"

    def test_one_broken_picture_does_not_stop_the_others(self, folder, loaded, tmp_path, capsys):
        (folder / "b.png").write_text("no picture")
        assert call("restore", folder, "-o", tmp_path / "out", "--quiet", *FAST) == 1
        assert names_in(tmp_path / "out") == ["a_restored.jpg", "c_restored.png"]
        shown = capsys.readouterr().err.splitlines()
        assert len(shown) == 2
        assert "b.png is not a picture" in shown[0]
        assert shown[1] == "autodir: 1 of 3 pictures failed"

    def test_a_second_run_does_what_is_missing(self, folder, loaded, tmp_path, capsys):
        out = tmp_path / "out"
        out.mkdir()
        (out / "a_restored.jpg").write_text("kept")
        assert call("restore", folder, "-o", out, *FAST) == 0
        assert (out / "a_restored.jpg").read_text() == "kept"
        assert "a.jpg: skipped" in capsys.readouterr().out
        assert len(names_in(out)) == 3

    def test_nothing_is_loaded_where_nothing_is_missing(self, picture, tmp_path, monkeypatch):
        monkeypatch.setattr("autodir_core.model.load_autodir", None)
        (tmp_path / "photo_restored.png").write_text("kept")
        assert call("restore", picture, "-o", tmp_path) == 0

    def test_overwrite(self, folder, loaded, tmp_path):
        (tmp_path / "a_restored.jpg").write_text("old")
        assert call("restore", folder / "a.jpg", "-o", tmp_path, "--overwrite", "--quiet", *FAST) == 0
        assert pixels(tmp_path / "a_restored.jpg").shape == (48, 64, 3)

    def test_each_picture_gives_what_it_gives_alone(self, folder, loaded, tmp_path):
        assert call("restore", folder, "-o", tmp_path / "all", "--quiet", *FAST) == 0
        assert call("restore", folder / "b.png", "-o", tmp_path / "b.png", "--quiet", *FAST) == 0
        assert np.array_equal(pixels(tmp_path / "all" / "b_restored.png"), pixels(tmp_path / "b.png"))

    def test_results_that_would_share_a_name(self, folder, refused, tmp_path):
        saved(folder / "c.png")
        assert "would both write" in refused("restore", folder, "-o", tmp_path / "out", *FAST)
        (folder / "c.png").unlink()
        saved(folder / "a.png")  # a_restored.png and a_restored.jpg differ, their reports do not
        assert "a_restored.json" in refused("restore", folder, "-o", tmp_path / "out", "--report", *FAST)

    def test_results_among_the_inputs(self, folder, refused):
        saved(folder / "b_restored.png")
        assert "is an input" in refused("restore", folder, "-o", folder, *FAST)

    def test_several_pictures_need_a_folder(self, folder, refused, tmp_path):
        assert "need a folder" in refused("restore", folder, "-o", tmp_path / "out.png", *FAST)

    def test_wildcards_where_the_shell_leaves_them(self, folder, loaded, tmp_path):
        assert call("restore", folder / "*.png", "-o", tmp_path / "out", "--quiet", *FAST) == 0
        assert names_in(tmp_path / "out") == ["b_restored.png"]


class TestRefusals:
    """Each is one line, and comes before a model is loaded: the default model is never reached."""

    @pytest.fixture(autouse=True)
    def no_model(self, monkeypatch):
        monkeypatch.setattr("autodir_core.model.load_autodir", None)

    def test_no_such_file(self, refused, picture, tmp_path):
        gone = tmp_path / "gone.png"
        assert "gone.png does not exist" in refused("restore", gone, "-o", tmp_path / "o.png")
        assert "gone.png does not exist" in refused("assess", picture, gone)

    def test_a_text_named_png(self, refused, tmp_path):
        (tmp_path / "text.png").write_text("hello")
        assert "is not a picture" in refused("restore", tmp_path / "text.png", "-o", tmp_path / "o.png")

    @pytest.mark.parametrize("output", ["blocked", "blocked/sub", "blocked/o.png"])
    def test_a_place_that_cannot_be_written(self, refused, picture, tmp_path, output):
        (tmp_path / "blocked").write_text("a file, not a folder")
        assert "cannot write into" in refused("restore", picture, "-o", tmp_path / output)

    def test_an_unknown_suffix(self, refused, picture, tmp_path):
        assert "unknown suffix '.docx'" in refused("restore", picture, "-o", tmp_path / "o.docx")

    def test_existing_results(self, refused, picture, tmp_path):
        (tmp_path / "o.png").write_text("kept")
        (tmp_path / "p.json").write_text("kept")
        assert "o.png exists" in refused("restore", picture, "-o", tmp_path / "o.png")
        assert "p.json exists" in refused("restore", picture, "-o", tmp_path / "p.png", "--report")
        assert (tmp_path / "o.png").read_text() == "kept"

    def test_the_input_as_output(self, refused, picture):
        assert "is an input" in refused("restore", picture, "-o", picture, "--overwrite")

    def test_a_sample_that_is_missing(self, refused, tmp_path, monkeypatch):
        monkeypatch.setattr("autodir_core.cli.restore.SAMPLE", tmp_path / "sample.png")
        assert "give a picture" in refused("restore", "-o", tmp_path / "o.png")

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--steps", "0"),
            ("--max-rounds", "x"),
            ("--sampler", "ddim"),
            ("--text-guidance", "nan"),
            ("--seed", "-1"),
            ("--tile", "64"),
            ("--crops", "whole"),
            ("--min-confidence", "50"),
        ],
    )
    def test_values_that_make_no_sense(self, refused, picture, tmp_path, option, value):
        line = refused("restore", picture, "-o", tmp_path / "o.png", option, value)
        assert f"argument {option}" in line
        assert line.endswith("see python -m autodir_core restore --help")

    def test_no_command_and_no_output(self, refused, picture):
        assert "COMMAND" in refused()
        assert "-o/--output" in refused("restore", picture)


def test_an_unknown_label(refused, picture, loaded, tmp_path):
    assert "unknown label 'fog'" in refused("restore", picture, "-o", tmp_path / "o.png", "--labels", "fog,no", *FAST)
    assert "unknown label 'fog'" in refused("assess", picture, picture.parent, "--labels", "fog")


@pytest.mark.parametrize("command", ["restore", "assess", "inspect", "convert"])
def test_a_truncated_checkpoint(refused, picture, tiny_path, tmp_path, command):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_path.read_bytes()[:1_000_000])
    rest = {
        "restore": (picture, "-o", tmp_path / "o.png", "--model", cut),
        "assess": (picture, "--model", cut),
        "inspect": (cut,),
        "convert": (cut, tmp_path / "o.safetensors"),
    }[command]
    assert "cut.safetensors" in refused(command, *rest)
    assert names_in(tmp_path) == ["cut.safetensors", "in"]


class TestTroubleMidway:
    def test_ctrl_c_leaves_nothing_half_written(self, picture, loaded, tmp_path, monkeypatch, capsys):
        predict, calls = loaded.predict_noise, []

        def interrupted(*arguments):
            calls.append(arguments)
            if len(calls) == 3:  # in the second round
                raise KeyboardInterrupt
            return predict(*arguments)

        monkeypatch.setattr(loaded, "predict_noise", interrupted)
        extras = "--save-rounds", "--report", "--sheet"
        assert call("restore", picture, "-o", tmp_path / "out", *extras, *FAST) == 130
        assert names_in(tmp_path / "out") == []
        assert capsys.readouterr().err == "autodir: interrupted; what was finished is kept\n"

    def test_a_gpu_that_is_too_small(self, picture, loaded, refused, tmp_path, monkeypatch):
        def full(*arguments):
            raise torch.cuda.OutOfMemoryError("tried to allocate 20 GiB")

        monkeypatch.setattr(loaded, "predict_noise", full)
        assert "(64 x 48) does not fit" in refused("restore", picture, "-o", tmp_path / "o.png", *FAST)

    def test_a_full_disk(self, picture, loaded, refused, tmp_path, monkeypatch):
        def full(*arguments, **options):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("autodir_core.cli.restorer.write_picture", full)
        assert "No space left" in refused("restore", picture, "-o", tmp_path / "o.png", "--quiet", *FAST)


class TestAssess:
    def test_bars(self, picture, tiny_path, tiny, capsys):
        assert call("assess", picture, "--model", tiny_path, "--device", "cpu") == 0
        title, *bars = capsys.readouterr().out.splitlines()
        assessment = tiny.assess(read_picture(picture).image)
        assert title == str(picture)
        assert len(bars) == 8
        assert bars[0].startswith(f"  {assessment.top[0]}")
        assert bars[0].count("█") == round(30 * assessment.probabilities.max().item())

    def test_json(self, picture, loaded, capsys):
        assert call("assess", picture, "--labels", "haze,no", "--json") == 0
        (seen,) = json.loads(capsys.readouterr().out)
        expected = loaded.assess(read_picture(picture).image, ["haze", "no"])
        assert seen["picture"] == str(picture)
        assert seen["top"] == expected.top[0]
        assert seen["probabilities"]["haze"] == pytest.approx(expected.probabilities[0, 0].item(), abs=1e-6)

    def test_the_crops_are_those_of_the_api(self, loaded, tmp_path, capsys):
        large = saved(tmp_path / "large.png", height=230, width=300)
        assert call("assess", large, "--crops", "grid", "--json") == 0
        (seen,) = json.loads(capsys.readouterr().out)
        expected = loaded.assess(read_picture(large).image, crops="grid")
        found = [seen["probabilities"][label] for label in expected.labels]
        assert found == pytest.approx(expected.probabilities[0].tolist(), abs=1e-6)

    def test_a_broken_one_among_others(self, picture, loaded, capsys):
        (picture.parent / "bad.png").write_text("no")
        assert call("assess", picture.parent, "--json") == 1
        shown = capsys.readouterr()
        assert len(json.loads(shown.out)) == 1
        assert "bad.png is not a picture" in shown.err

    def test_a_terminal_of_few_characters(self, picture, loaded, monkeypatch):
        renamed = picture.rename(picture.with_name("写真.png"))
        terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
        monkeypatch.setattr("sys.stdout", terminal)
        assert call("assess", renamed) == 0
        terminal.flush()
        shown = terminal.buffer.getvalue().decode("cp1252")
        assert "??.png" in shown
        assert "#####" in shown


class TestWeights:
    def test_inspect(self, tiny_path, capsys):
        assert call("inspect", tiny_path) == 0
        shown = capsys.readouterr().out
        assert "an AutoDIR model (safetensors, 23.7 MB)" in shown
        assert "UNet       1,078,724 parameters" in shown
        assert "644 float32" in shown
        assert "low resolution, raindrop, no" in shown

    def test_inspect_something_else(self, tmp_path, capsys):
        from safetensors.torch import save_file

        other = tmp_path / "other.safetensors"
        save_file({"intro.weight": torch.zeros(2, 2), "middle_blks.0.beta": torch.zeros(1)}, other)
        assert call("inspect", other) == 1
        shown = capsys.readouterr().out
        assert "a NAFNet" in shown
        assert "problem" in shown

    def test_convert(self, tiny_path, tmp_path, capsys):
        target = tmp_path / "half.safetensors"
        assert call("convert", tiny_path, target, "--precision", "bfloat16") == 0
        assert capsys.readouterr().out == f"{tiny_path} (23.7 MB) -> {target} (11.9 MB, bfloat16)\n"
        with safe_open(target, "pt") as file:
            assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.bfloat16}  # noqa: SIM118

    def test_targets_that_are_refused(self, tiny_path, tmp_path, refused):
        (tmp_path / "there.safetensors").write_text("kept")
        assert "must end in .safetensors" in refused("convert", tiny_path, tmp_path / "o.ckpt")
        assert "there.safetensors exists" in refused("convert", tiny_path, tmp_path / "there.safetensors")
        assert "is the source itself" in refused("convert", tiny_path, tiny_path, "--overwrite")


class TestDegrade:
    def test_writes_what_the_api_gives(self, picture, tmp_path):
        from autodir_core.degrade import compose

        options = "--label", "noise, haze", "--severity", 0.8, "--seed", 3
        assert call("degrade", picture, "-o", tmp_path / "o.png", *options) == 0
        expected = compose(read_picture(picture).image, ["haze", "noise"], severity=0.8, seed=3)
        assert np.array_equal(pixels(tmp_path / "o.png"), written(expected))

    def test_a_folder(self, picture, tmp_path):
        assert call("degrade", picture.parent, "-o", tmp_path / "out", "--label", "blur") == 0
        assert names_in(tmp_path / "out") == ["photo_degraded.png"]

    def test_what_is_no_degradation(self, picture, tmp_path, refused):
        assert "got 'no'" in refused("degrade", picture, "-o", tmp_path / "o.png", "--label", "blur,no")
        assert "0..1" in refused("degrade", picture, "-o", tmp_path / "o.png", "--label", "blur", "--severity", 2)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option(command, capsys):
    with pytest.raises(SystemExit) as ended:
        call(command, "--help")
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert (import_module(COMMANDS[command][0]).__doc__ or "-") in shown


def test_a_bug_is_not_hidden(picture, loaded, monkeypatch):
    """Only errors that a user can do something about become one line."""

    def broken(*arguments):
        raise TypeError("a bug")

    monkeypatch.setattr(loaded, "assess", broken)
    with pytest.raises(TypeError):
        call("assess", picture)


def test_as_a_module(tmp_path):
    command = [sys.executable, "-m", "autodir_core", "inspect", tmp_path / "gone.safetensors"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("autodir: error: ")


@pytest.mark.parametrize("options", [("--view", "centre", "--threshold", "0.5"), ("--crops", "center")])
def test_options_of_the_first_version_keep_working(options):
    restore = build_parser("restore").parse_args(["restore", "-o", "out.png", *options])
    assert (restore.crops, restore.min_confidence) == ("center", 0.5 if "--threshold" in options else 0.0)
    evaluate = build_parser("evaluate").parse_args(["evaluate", "--no-truth", "photos", "--view", "grid"])
    assert (str(evaluate.unpaired), evaluate.assess_crops) == ("photos", "grid")
