"""New models: the labels of their recipe, and the same weights for the same seed."""

from __future__ import annotations

from dataclasses import replace

import torch

from autodir_core.networks.build import build_scm
from autodir_core.networks.config import SCMConfig
from autodir_lab.training.init.model import init_model, init_residual_correction


def test_a_model_begins_with_the_labels_of_its_recipe(small):
    recipe = replace(small, metadata=replace(small.metadata, labels=("haze", "glare", "no")))
    first, again = (init_model(recipe) for _ in range(2))
    assert first.labels == ("haze", "glare", "no")
    assert first.assess(torch.rand(1, 64, 64, 3)).probabilities.shape == (1, 3)
    pairs = zip(first.networks.state_dict().values(), again.networks.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@torch.no_grad()
def test_an_initialized_correction_returns_the_degraded_picture():
    torch.manual_seed(0)
    scm = build_scm(SCMConfig(width=8, encoder_blocks=(1,), middle_blocks=1, decoder_blocks=(1,))).eval()
    degraded, generated = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    before = (scm(degraded, generated) - degraded).square().mean()
    init_residual_correction(scm)
    assert (scm(degraded, generated) - degraded).square().mean() < 0.01 * before
