"""The ablation of restoration: what its variants mean, and its tables."""

from __future__ import annotations

import pytest
import torch

from autodir_core.imaging.metrics import psnr
from autodir_core.settings import SamplerSettings
from autodir_lab.ablations.restoration import (
    MIXTURES,
    Gain,
    RestorationSettings,
    ablate_restoration,
    count_images,
    one_round_gains,
)
from autodir_lab.ablations.run import restoration_tables
from autodir_lab.evaluation.protocol import Protocol, degrade_crop

SETTINGS = RestorationSettings(Protocol(crops=1, size=64, steps=2, max_rounds=2), mixtures=2, seeds=(4,))


@pytest.fixture(scope="module")
def photo():
    """A smooth image [1, 80, 80, 3]."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 80), torch.linspace(0, 1, 80), indexing="ij")
    return torch.stack([x, y, (10 * x).sin().abs()], dim=-1)[None]


def test_every_label_and_the_mixtures_are_measured(tiny, photo):
    calls = []
    gains = ablate_restoration(tiny, {"waves": photo}, SETTINGS, on_image=lambda: calls.append(1))
    assert len(calls) == count_images(tiny, SETTINGS, 1) == 7 + 2
    assert {gain.subject for gain in gains} == {*tiny.labels[:-1], MIXTURES}
    by_variant = {gain.variant for gain in gains if gain.subject == "haze"}
    assert by_variant == {"blended", "top-1", "oracle", "w = 0", "w = 0.5", "w = 1"}


def test_weight_one_is_the_blended_round_and_zero_the_generated_picture(tiny, photo):
    protocol, clean = SETTINGS.protocol, photo[:, :64, :64]
    degraded = degrade_crop(clean, "noise", "a 0", protocol)
    gains = one_round_gains(tiny, clean, degraded, "noise", protocol)
    assert gains["w = 1"] == pytest.approx(gains["blended"])
    embedding = tiny.assess(degraded).embedding
    latent = tiny.sample(tiny.encode(degraded), embedding, SamplerSettings(steps=2), seed=protocol.seed)
    assert gains["w = 0"] == pytest.approx(psnr(tiny.decode(latent), clean) - psnr(degraded, clean), abs=1e-3)


def test_the_table_takes_the_mean_within_a_seed_first():
    """Seed 0: 1 and 3, seed 1: 4 and 6: means 2 and 5."""
    values = {(0, "haze"): 1.0, (0, "rain"): 3.0, (1, "haze"): 4.0, (1, "rain"): 6.0}
    names = ("blended", "top-1", "oracle", "w = 0", "w = 0.5", "w = 1")
    gains = [Gain(seed, label, name, value) for (seed, label), value in values.items() for name in names]
    gains += [Gain(seed, MIXTURES, name, 1.0) for seed in (0, 1) for name in ("one round", "loop")]
    text = restoration_tables(gains, ("haze", "rain", "no"))
    assert "| **mean** | +3.50 ± 2.12 |" in text
    assert "| haze | +2.50 ± 2.12 |" in text
    assert "| mixtures | +1.00 ± 0.00 | +1.00 ± 0.00 |" in text
