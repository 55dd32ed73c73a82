"""The other objectives: the same losses however the batch is cut, conditions dropped as often as officially."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from autodir_core.diffusion.schedule import TIMESTEPS, alphas_cumprod
from autodir_core.imaging.layout import to_network
from autodir_core.stages.autoencoder import encode_mode
from autodir_lab.training.data.crops import draw_batch
from autodir_lab.training.data.microbatch import full_batch, split_batch
from autodir_lab.training.init.model import init_model
from autodir_lab.training.objectives.label_mixing import told
from autodir_lab.training.objectives.ldm import Conditions, dropped, ldm_objective
from autodir_lab.training.objectives.scm import SCMPlan, correction_losses, mislabelled, scm_objective
from autodir_lab.training.objectives.vae import vae_objective


@pytest.fixture(scope="module")
def model(small):
    return init_model(small)


@pytest.fixture
def objectives(model, data, small):
    """Every objective but the assessment's, by name."""
    ldm = ldm_objective(
        model.networks.unet,
        model.networks.vae,
        model.prompts(model.labels).states.clone(),
        model.null_text.clone(),
        data=data,
        plan=replace(small.ldm_data, blended=0.5),
        scale=model.metadata.latent_scale,
    )
    always = replace(small.scm_data, again=1.0, mislabelled=0.5, blended=0.5)
    return {
        "vae": vae_objective(model.networks.vae, data, small.vae_data),
        "ldm": ldm,
        "scm estimated": scm_objective(model, data, replace(always, sampled=0.0)),
        "scm sampled": scm_objective(model, data, replace(always, sampled=1.0)),
        "scm blind": scm_objective(model, data, replace(always, sampled=0.0, blind=1.0)),
    }


@pytest.mark.parametrize("name", ["vae", "ldm", "scm estimated", "scm sampled", "scm blind"])
def test_pieces_add_up_to_the_whole(objectives, name):
    with torch.no_grad():
        at_once = objectives[name](full_batch(1, 5, step=4))
        micro_batches = [objectives[name](micro) for micro in split_batch(1, 4, 5, 2)]
    for key, value in at_once.items():
        assert torch.isfinite(value)
        assert sum(micro[key] for micro in micro_batches).item() == pytest.approx(value.item(), rel=1e-3), key


class Watched(torch.nn.Module):
    """Stands for a UNet that predicts no noise at all, and keeps what it was shown."""

    device = torch.device("cpu")

    def forward(self, x: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        self.shown, self.timesteps = x, t
        return SimpleNamespace(sample=torch.zeros_like(x[:, : x.shape[1] // 2]))


@pytest.mark.parametrize("blind", [0.0, 0.4, 1.0])
def test_blind_pictures_begin_as_sampling_does(model, data, small, blind):
    """At the last timestep and out of the noise alone; the others hold what the schedule leaves of the truth."""
    micro, unet = full_batch(3, 40), Watched()
    text = model.prompts(model.labels).states.clone()
    plan = replace(small.ldm_data, blind=blind)
    ldm_objective(unet, model.networks.vae, text, text[:1], data=data, plan=plan, scale=1.0)(micro)
    noisy = unet.shown[:, : unet.shown.shape[1] // 2]
    alone = (noisy == micro.noise("noise", tuple(noisy.shape[1:]))).flatten(1).all(dim=1)
    assert torch.equal(alone, micro.uniform("blind") < blind)
    assert (unet.timesteps[alone] == TIMESTEPS - 1).all()
    assert alone.float().mean().item() == pytest.approx(blind, abs=0.2)


def test_blind_pictures_are_told_the_whole_way_to_the_truth(model, data, small):
    """A network that predicts no noise is wrong by what makes the clean latent of the noise."""
    micro, unet = full_batch(3, 4), Watched()
    text = model.prompts(model.labels).states.clone()
    plan = replace(small.ldm_data, blind=1.0, start_weight=0.0)
    loss = ldm_objective(unet, model.networks.vae, text, text[:1], data=data, plan=plan, scale=2.0)(micro)["noise"]
    clean = to_network(draw_batch(data, micro, plan.crops).clean)
    signal = alphas_cumprod()[torch.full((4,), TIMESTEPS - 1)].view(4, 1, 1, 1)
    noise = unet.shown[:, : unet.shown.shape[1] // 2]
    missed = (noise - signal.sqrt() * 2.0 * encode_mode(model.networks.vae, clean)) / (1 - signal).sqrt()
    assert loss.item() == pytest.approx((missed**2).mean().item(), rel=1e-4)


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


def test_texts_are_blended_as_often_as_planned():
    """With a unit vector for every label's text a blend shows how much each label counts in it."""
    texts, labels = torch.eye(5)[:, None], torch.full((2000,), 3)
    assert torch.equal(told(texts, labels, full_batch(0, 2000), 0.0), texts[labels])
    blend = told(texts, labels, full_batch(0, 2000), 0.5)[:, 0]
    torch.testing.assert_close(blend.sum(dim=1), torch.ones(2000))
    assert blend[:, 3].min() >= 0.4 and ((blend > 0).sum(dim=1) <= 2).all()
    # a fifth of the blends is with the label itself
    assert (blend[:, 3] < 1).float().mean().item() == pytest.approx(0.5 * 4 / 5, abs=0.04)


def test_labels_are_mistaken_as_often_as_planned():
    labels = torch.zeros(2000, dtype=torch.int64)
    changed = (mislabelled(labels, 4, full_batch(0, 2000), 0.4) != 0).float().mean().item()
    assert changed == pytest.approx(0.4 * 3 / 4, abs=0.03)
    assert torch.equal(mislabelled(labels, 4, full_batch(0, 2000), 0.0), labels)
