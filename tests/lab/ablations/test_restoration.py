"""The study of restoration, with a model whose every part does something known."""

from __future__ import annotations

import pytest
import torch

from autodir_core.imaging.metrics import psnr
from autodir_core.settings import SamplerSettings
from autodir_lab.ablations.restoration import MIXTURES, Gain, RestorationPlan, one_round, pictures_of, restoration_study
from autodir_lab.ablations.tables import restoration_tables
from autodir_lab.evaluation import Protocol
from autodir_lab.evaluation.protocol import damaged

PLAN = RestorationPlan(Protocol(crops=1, size=64, steps=2, max_rounds=2), mixtures=2, seeds=(4,))


@pytest.fixture(scope="module")
def photos(astronaut_crop):
    return {"astronaut": astronaut_crop}


@pytest.fixture(scope="module")
def astronaut_crop():
    y, x = torch.meshgrid(torch.linspace(0, 1, 80), torch.linspace(0, 1, 80), indexing="ij")
    return torch.stack([x, y, (10 * x).sin().abs()], dim=-1)[None]


def test_every_label_and_the_mixtures_are_measured(tiny, photos):
    told = []
    gains = restoration_study(tiny, photos, PLAN, on_picture=lambda: told.append(1))
    assert len(told) == pictures_of(tiny, PLAN, 1) == 7 + 2
    assert {gain.subject for gain in gains} == {*tiny.labels[:-1], MIXTURES}
    by_variant = {gain.variant for gain in gains if gain.subject == "haze"}
    assert by_variant == {"blended", "winner", "oracle", "w = 0", "w = 0.5", "w = 1"}


def test_a_weight_of_one_is_the_blended_round_and_zero_the_generated_picture(tiny, photos):
    clean = photos["astronaut"][:, :64, :64]
    degraded = damaged(clean, "noise", "a 0", PLAN.protocol)
    gains = one_round(tiny, clean, degraded, "noise", PLAN.protocol)
    assert gains["w = 1"] == pytest.approx(gains["blended"])
    generated = tiny.decode(
        tiny.sample(
            tiny.encode(degraded),
            tiny.assess(degraded).embedding,
            SamplerSettings(steps=2),
            seed=PLAN.protocol.seed,
        )
    )
    assert gains["w = 0"] == pytest.approx(psnr(generated, clean) - psnr(degraded, clean), abs=1e-3)


def test_the_table_takes_the_mean_within_a_seed_first():
    """Seed 0: 1 and 3, seed 1: 4 and 6: means 2 and 5."""
    values = {(0, "haze"): 1.0, (0, "rain"): 3.0, (1, "haze"): 4.0, (1, "rain"): 6.0}
    names = ("blended", "winner", "oracle", "w = 0", "w = 0.5", "w = 1")
    gains = [Gain(seed, label, name, value) for (seed, label), value in values.items() for name in names]
    gains += [Gain(seed, MIXTURES, name, 1.0) for seed in (0, 1) for name in ("one round", "loop")]
    text = restoration_tables(gains, ("haze", "rain", "no"))
    assert "| **mean** | +3.50 ± 2.12 |" in text
    assert "| haze | +2.50 ± 2.12 |" in text
    assert "| mixtures | +1.00 ± 0.00 | +1.00 ± 0.00 |" in text
