"""The other objectives: the same losses however the batch is cut, conditions dropped as often as officially."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from autodir_core.training.ldm import Conditions, dropped, ldm_objective
from autodir_core.training.pieces import cut, whole
from autodir_core.training.recipes import start_model
from autodir_core.training.scm import SCMPlan, correction_losses, mislabelled, scm_objective
from autodir_core.training.vae import vae_objective


@pytest.fixture(scope="module")
def model(small):
    return start_model(small)


@pytest.fixture
def objectives(model, data, small):
    """Every objective but the assessment's, by name."""
    ldm = ldm_objective(
        model.networks.unet,
        model.networks.vae,
        model.prompts(model.labels).states.clone(),
        model.null_text.clone(),
        data=data,
        plan=small.ldm_data,
        scale=model.traits.latent_scale,
    )
    always = replace(small.scm_data, again=1.0, mislabelled=0.5)
    return {
        "vae": vae_objective(model.networks.vae, data, small.vae_data),
        "ldm": ldm,
        "scm estimated": scm_objective(model, data, replace(always, sampled=0.0)),
        "scm sampled": scm_objective(model, data, replace(always, sampled=1.0)),
    }


@pytest.mark.parametrize("name", ["vae", "ldm", "scm estimated", "scm sampled"])
def test_pieces_add_up_to_the_whole(objectives, name):
    with torch.no_grad():
        at_once = objectives[name](whole(1, 5, step=4))
        pieces = [objectives[name](piece) for piece in cut(1, 4, 5, 2)]
    for key, value in at_once.items():
        assert torch.isfinite(value)
        assert sum(piece[key] for piece in pieces).item() == pytest.approx(value.item(), rel=1e-3), key


def test_conditions_are_dropped():
    """Of every twenty one loses the text, one the image, one both."""
    given = Conditions(torch.ones(200, 1, 1, 1), torch.ones(200, 2, 3))
    lots = torch.arange(200) / 200 + 0.001
    left = dropped(given, torch.full((1, 2, 3), -1.0), lots)
    text, image = left.text[:, 0, 0] == -1, left.image.flatten() == 0
    assert (text & ~image).sum() == (text & image).sum() == (image & ~text).sum() == 10


def test_the_losses_of_the_correction_are_those_of_the_plan():
    corrected, truth = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)
    official = correction_losses(corrected, truth, SCMPlan())
    assert official.keys() == {"mse"} and official["mse"].item() == pytest.approx(0.01)
    weighted = correction_losses(corrected, truth, SCMPlan(mse=3.0, charbonnier=2.0))
    assert weighted["mse"].item() == pytest.approx(0.03)
    assert weighted["charbonnier"].item() == pytest.approx(0.2, rel=1e-3)


def test_labels_are_mistaken_as_often_as_planned():
    labels = torch.zeros(2000, dtype=torch.int64)
    changed = (mislabelled(labels, 4, whole(0, 2000), 0.4) != 0).float().mean().item()
    assert changed == pytest.approx(0.4 * 3 / 4, abs=0.03)
    assert torch.equal(mislabelled(labels, 4, whole(0, 2000), 0.0), labels)
