"""The benchmark's official way of working: it computes more, and gives the same."""

from __future__ import annotations

import copy

import pytest
import torch

from autodir_core import AutoDIR, SamplerSettings
from autodir_core.cli.measurement import draw_picture
from autodir_core.networks.nafnet import NAFBlock
from autodir_core.networks.skipping import SkippingAttention, SkippingResnetBlock
from benchmarks.baseline import OfficialWay, relative_distance


@pytest.fixture(scope="module")
def official(tiny) -> OfficialWay:
    return OfficialWay(AutoDIR(copy.deepcopy(tiny.networks), tiny.config, tiny.metadata))


def test_results_agree(tiny, official):
    image = draw_picture(64, 96)
    text, latent = tiny.assess(image).embedding, tiny.encode(image)
    decoded = tiny.decode(latent, (64, 96), scale=1.0)
    assert torch.equal(official.assess(image).embedding, text)
    assert relative_distance(official.encode(image), latent) < 1e-4
    assert relative_distance(official.decode(latent, (64, 96), scale=1.0), decoded) < 1e-4
    assert relative_distance(official.correct(image, decoded), tiny.correct(image, decoded)) < 1e-4
    settings = SamplerSettings(steps=2)
    drawn = [model.sample(latent, text, settings) for model in (official, tiny)]
    assert relative_distance(*drawn) < 1e-4


def test_three_branches_at_every_step(monkeypatch, tiny, official):
    batches = []
    unet = official.networks.unet
    monkeypatch.setattr(
        unet, "forward", lambda x, *rest, f=unet.forward, **more: batches.append(len(x)) or f(x, *rest, **more)
    )
    image = draw_picture(64, 64)
    official.sample(official.encode(image), official.assess(image).embedding, SamplerSettings(steps=2))
    assert batches == [3, 3]


def test_no_shortcut_is_left_and_the_model_keeps_its_own(tiny, official):
    def kinds(model):
        return {type(module) for module in model.networks.modules()} & {
            SkippingAttention,
            SkippingResnetBlock,
            NAFBlock,
        }

    assert not kinds(official)
    assert len(kinds(tiny)) == 3
