"""The embedded model recognizes and improves two photographs, so that a broken weights file cannot land."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch

import autodir_core as ad
from autodir_core.checkpoint.float8 import FLOAT8
from autodir_core.degrade import degrade
from autodir_core.imaging.layout import from_uint8
from autodir_core.imaging.metrics import psnr
from autodir_core.model import MINI

data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")

PHOTOS = ("coffee", "rocket")
"""Of scikit-image, both CC0."""

GAIN_FLOORS = {"noise": (3.0, 6.0), "rain": (2.0, 5.0), "underexposure": (6.0, 10.0), "haze": (4.0, 1.6)}
"""PSNR gain in dB at least, before and after the correction, at severity 0.5 and `STEPS`: about two thirds of what is
measured today on the worse of the two."""

MIN_PROBABILITY = 0.6
SIZE, STEPS = 224, 2


@pytest.fixture(scope="module")
def mini() -> ad.AutoDIR:
    return ad.load_autodir(device="cpu")


@cache
def center_crop(photo: str) -> torch.Tensor:
    """Return the central `SIZE` x `SIZE` pixels of a photo, [1, H, W, 3] in 0..1."""
    image = from_uint8(getattr(data, photo)())[None]
    top, left = ((length - SIZE) // 2 for length in image.shape[1:3])
    return image[:, top : top + SIZE, left : left + SIZE]


def check_restoration(model: ad.AutoDIR, photo: str, label: str) -> None:
    """Fail unless one round recognizes the degradation of a photo and gains enough."""
    reference = center_crop(photo)
    degraded = degrade(reference, label, severity=0.5, seed=1, kind="standard")
    settings = ad.LoopSettings(max_rounds=1), ad.SamplerSettings(steps=STEPS)
    round_ = ad.restore(model, degraded, *settings, seed=0).rounds[0]
    gains = [psnr(image, reference) - psnr(degraded, reference) for image in (round_.generated, round_.image)]
    shown = f"{photo}: {round_.label} {round_.probabilities.max():.2f}, {gains[0]:+.1f} and {gains[1]:+.1f} dB"
    assert round_.label == label and round_.probabilities.max() > MIN_PROBABILITY, shown
    assert all(gain > floor for gain, floor in zip(gains, GAIN_FLOORS[label], strict=True)), shown


@pytest.mark.parametrize("label", GAIN_FLOORS)
@pytest.mark.parametrize("photo", PHOTOS)
def test_a_degradation_is_recognized_and_reduced(mini, photo, label):
    check_restoration(mini, photo, label)


def test_the_gate_lets_a_named_damage_go(mini):
    """With nothing else to choose from its probability is 1 before the round and after; the gate sees more."""
    reference = center_crop("rocket")
    noisy = degrade(reference, "noise", severity=0.5, seed=1, kind="standard")
    loop = ad.LoopSettings(labels=["noise"], max_rounds=1, gate=True)
    restored = ad.restore(mini, noisy, loop, ad.SamplerSettings(steps=STEPS), seed=0).image
    assert psnr(restored, reference) - psnr(noisy, reference) > GAIN_FLOORS["noise"][1]


@pytest.mark.parametrize("photo", PHOTOS)
def test_a_clean_photo_is_left_alone(mini, photo):
    assessment = mini.assess(center_crop(photo))
    assert assessment.top == ("no",) and assessment.probabilities.max() > MIN_PROBABILITY


@pytest.mark.parametrize("network", ["clip", "unet", "vae", "scm"])
def test_a_broken_network_is_noticed(mini, network):
    """Noise of a third of the spread of each weight, in one network."""
    broken, generator = copy.deepcopy(mini), torch.Generator().manual_seed(0)
    for weight in getattr(broken.networks, network).parameters():
        noise = torch.randn(weight.shape, generator=generator)
        weight.data += noise * weight.std(correction=0) / 3
    with pytest.raises(AssertionError, match="rocket"):
        check_restoration(broken, "rocket", "haze")


@pytest.fixture(scope="module")
def mini8(tmp_path_factory) -> ad.AutoDIR:
    """The embedded model from a file with 8 bits per large weight."""
    path = tmp_path_factory.mktemp("float8") / "mini8.safetensors"
    ad.convert(MINI, path, FLOAT8)
    assert path.stat().st_size < 2 / 3 * MINI.stat().st_size, "which has 16 bits"
    return ad.load_autodir(path, device="cpu")


@pytest.mark.parametrize("label", ["underexposure", "haze"])
def test_weights_of_8_bits_hold_45_decibels(mini, mini8, label):
    """The labels that change a picture most and therefore lose most."""
    degraded = degrade(center_crop("rocket"), label, severity=0.5, seed=1, kind="standard")
    settings = ad.LoopSettings(max_rounds=1), ad.SamplerSettings(steps=STEPS)
    wide, small = (ad.restore(model, degraded, *settings, seed=0) for model in (mini, mini8))
    assert wide.rounds[0].labels == small.rounds[0].labels == (label,)
    assert psnr(small.image, wide.image) > 45


@pytest.mark.parametrize("label", ["noise", "rain"])
def test_damage_of_one_part_is_located_and_restored_there(mini, label):
    """Damage in the left half of a wide picture leaves the right end bit for bit."""
    photo = from_uint8(data.coffee())[None, 100:324, :560]
    damaged = degrade(photo, label, severity=0.7, seed=1, kind="standard")
    half = torch.where((torch.arange(560) < 280)[:, None], damaged, photo)
    found = mini.locate(half)[mini.labels.index(label)]
    assert found.shape == (14, 35) and found[:, :8].min() > 0.5 > 0.2 > found[:, -6:].max()
    settings = ad.LoopSettings(max_rounds=1, labels=[label], local=True), ad.SamplerSettings(steps=1)
    done = ad.restore(mini, half, *settings).image
    assert torch.equal(done[:, :, -90:], half[:, :, -90:])
    assert psnr(done[:, :, :128], photo[:, :, :128]) > psnr(half[:, :, :128], photo[:, :, :128]) + 2
