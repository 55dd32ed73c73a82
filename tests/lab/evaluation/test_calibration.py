"""Calibration: the error by hand, the temperature that made the logits, and the file that it is written into."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.checkpoint.reader import open_state_dict
from autodir_core.cli import main
from autodir_core.imaging.files import write_picture
from autodir_lab.evaluation.calibration import expected_calibration_error, fit_temperature


def test_the_error_is_the_mean_gap_of_the_bins():
    assert expected_calibration_error([0.8, 0.8, 0.8, 0.8, 0.8], [True] * 4 + [False]) == pytest.approx(0)
    assert expected_calibration_error([0.9, 0.3], [False, True]) == pytest.approx((0.9 + 0.7) / 2)
    assert expected_calibration_error([0.0, 1.0], [False, True]) == 0


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20000, 4, generator=generator)
    truth = (logits / temperature).softmax(dim=1).multinomial(1, generator=generator)[:, 0]
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)


def test_every_label_counts_alike():
    """Of label 0 a quarter is misnamed, of label 1 none; more of label 1 changes nothing."""
    logits, truth = torch.eye(2)[[0, 0, 0, 1, 1, 1, 1, 1]] * 3, torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    more = torch.cat([logits, logits[4:].repeat(9, 1)]), torch.cat([truth, truth[4:].repeat(9)])
    assert fit_temperature(*more) == pytest.approx(fit_temperature(logits, truth), rel=1e-3)


def test_the_command_changes_the_logit_scale_alone(tmp_path, tiny_path, random_image, capsys):
    write_picture(tmp_path / "photos" / "one.png", random_image(0, 260))
    target = tmp_path / "calibrated.safetensors"
    options = [
        "--model",
        str(tiny_path),
        "--crops-per-photo",
        "1",
        "--precision",
        "float32",
        "--device",
        "cpu",
        "--quiet",
    ]
    command = ["calibrate", str(tmp_path / "photos"), "-o", str(target), *options]
    (tmp_path / "photos" / "broken.png").write_text("no picture")
    assert main(command) == 1, "one photo is left out"
    assert "1 left out" in capsys.readouterr().err
    before, after = (open_state_dict(path).tensors for path in (tiny_path, target))
    (changed,) = [key for key, tensor in after.items() if not torch.equal(tensor, before[key])]
    assert changed.endswith("logit_scale")
    images = random_image(1, 224)
    first, second = (ad.load_autodir(path, device="cpu").assess(images) for path in (tiny_path, target))
    assert first.top == second.top
    temperature = (before[changed] - after[changed]).exp()
    tempered = (first.probabilities.log() / temperature).softmax(dim=1)
    torch.testing.assert_close(second.probabilities, tempered, rtol=1e-3, atol=1e-5)
    assert "calibrated with temperature" in ad.load_autodir(target, device="cpu").metadata.provenance
    assert main(command) == 2 and "exists" in capsys.readouterr().err


def test_the_command_fits_the_gate_alone(tmp_path, tiny_path, random_image, capsys, monkeypatch):
    monkeypatch.setattr("autodir_lab.evaluation.run.judge_rounds", lambda model, samples, *_: [*samples][:0])
    write_picture(tmp_path / "photos" / "one.png", random_image(0, 260))
    target = tmp_path / "gated.safetensors"
    options = ["--fit", "gate", "--crops-per-photo", "1", "--precision", "float32", "--device", "cpu"]
    assert main(["calibrate", str(tmp_path / "photos"), "-o", str(target), "--model", str(tiny_path), *options]) == 0
    before, after = (open_state_dict(path).tensors for path in (tiny_path, target))
    assert all(torch.equal(tensor, before[key]) for key, tensor in after.items())
    gate = ad.load_autodir(target, device="cpu").metadata.gate
    assert set(gate) == set(ad.LABELS) - {"no"}
    shown = capsys.readouterr().out.splitlines()
    assert (
        shown[0].endswith("is written")
        and len(shown) == 1 + len(gate)
        and shown[1].startswith("noise: strength 1.0, confidence")
    )
