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
from autodir_lab.training.data.dataset import PairDataset, full_batch, split_batch
from autodir_lab.training.init.model import init_model
from autodir_lab.training.objectives.ldm import drop_conditions, ldm_objective, mix_label_embeddings
from autodir_lab.training.objectives.scm import SCMObjectiveConfig, correction_losses, corrupt_labels, scm_objective
from autodir_lab.training.objectives.vae import vae_objective


@pytest.fixture(scope="module")
def model(small):
    return init_model(small)


@pytest.fixture
def objectives(model, data, small):
    """Every objective but the assessment's, by name."""
    always = replace(small.scm_objective, second_round_fraction=1.0, wrong_label_fraction=0.5, mixed_label_fraction=0.5)
    return {
        "vae": vae_objective(model, data, small.vae_objective),
        "ldm": ldm_objective(model, data, replace(small.ldm_objective, mixed_label_fraction=0.5)),
        "scm estimated": scm_objective(model, data, replace(always, sampled_fraction=0.0)),
        "scm sampled": scm_objective(model, data, replace(always, sampled_fraction=1.0)),
        "scm pure noise": scm_objective(model, data, replace(always, sampled_fraction=0.0, pure_noise_fraction=1.0)),
    }


@pytest.mark.parametrize("name", ["vae", "ldm", "scm estimated", "scm sampled", "scm pure noise"])
def test_micro_batches_add_up_to_the_whole(objectives, name):
    with torch.no_grad():
        at_once = objectives[name](full_batch(1, 5, step=4))
        micro_batches = [objectives[name](micro) for micro in split_batch(1, 4, 5, 2)]
    for key, value in at_once.items():
        assert torch.isfinite(value)
        assert sum(micro[key] for micro in micro_batches).item() == pytest.approx(value.item(), rel=1e-3), key


class Watched(torch.nn.Module):
    """Stands for a UNet that predicts no noise at all, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))  # tells device and precision

    def forward(self, x: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        self.shown, self.timesteps = x, t
        return SimpleNamespace(sample=torch.zeros_like(x[:, : x.shape[1] // 2]))


@pytest.fixture
def unet(model, monkeypatch):
    """The UNet of the model for the length of a test."""
    monkeypatch.setitem(model.networks._modules, "unet", Watched())
    return model.networks.unet


@pytest.mark.parametrize("fraction", [0.0, 0.4, 1.0])
def test_terminal_noise_steps_begin_as_sampling_does(model, unet, data, small, fraction):
    """At the last timestep and out of the noise alone; the others hold what the schedule leaves of the ground truth."""
    micro = full_batch(3, 40)
    config = replace(small.ldm_objective, pure_noise_fraction=fraction)
    ldm_objective(model, data, config)(micro)
    noisy = unet.shown[:, : unet.shown.shape[1] // 2]
    alone = (noisy == micro.noise("noise", tuple(noisy.shape[1:]))).flatten(1).all(dim=1)
    assert torch.equal(alone, micro.uniform("blind") < fraction)
    assert (unet.timesteps[alone] == TIMESTEPS - 1).all()
    assert alone.float().mean().item() == pytest.approx(fraction, abs=0.2)


def test_terminal_noise_steps_predict_all_that_is_missing(model, unet, data, small):
    """A network that predicts no noise is wrong by what makes the clean latent of the noise."""
    micro = full_batch(3, 4)
    config = replace(small.ldm_objective, pure_noise_fraction=1.0, max_inverse_snr=0.0)
    loss = ldm_objective(model, data, config)(micro)["noise"]
    clean = to_network(PairDataset(data, config.crops)[micro].clean)
    signal = alphas_cumprod()[torch.full((4,), TIMESTEPS - 1)].view(4, 1, 1, 1)
    noise = unet.shown[:, : unet.shown.shape[1] // 2]
    latent = encode_mode(model.networks.vae, clean) * model.metadata.latent_scale
    missed = (noise - signal.sqrt() * latent) / (1 - signal).sqrt()
    assert loss.item() == pytest.approx((missed**2).mean().item(), rel=1e-4)


def test_conditions_are_dropped():
    """Of every twenty one loses the text, one the image, one both."""
    lots = torch.arange(200) / 200 + 0.001
    image, text = drop_conditions(torch.ones(200, 1, 1, 1), torch.ones(200, 2, 3), torch.full((1, 2, 3), -1.0), lots)
    text, image = text[:, 0, 0] == -1, image.flatten() == 0
    assert (text & ~image).sum() == (text & image).sum() == (image & ~text).sum() == 10


def test_the_losses_of_the_correction_have_their_weights():
    corrected, target = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)
    official = correction_losses(corrected, target, SCMObjectiveConfig())
    assert official.keys() == {"mse"} and official["mse"].item() == pytest.approx(0.01)
    weighted = correction_losses(corrected, target, SCMObjectiveConfig(mse_weight=3.0, charbonnier_weight=2.0))
    assert weighted["mse"].item() == pytest.approx(0.03)
    assert weighted["charbonnier"].item() == pytest.approx(0.2, rel=1e-3)


def test_label_embeddings_are_mixed_as_often_as_asked():
    """With a unit vector for every label's text a blend shows how much each label counts in it."""
    texts, labels = torch.eye(5)[:, None], torch.full((2000,), 3)
    assert torch.equal(mix_label_embeddings(texts, labels, full_batch(0, 2000), 0.0), texts[labels])
    blend = mix_label_embeddings(texts, labels, full_batch(0, 2000), 0.5)[:, 0]
    torch.testing.assert_close(blend.sum(dim=1), torch.ones(2000))
    assert blend[:, 3].min() >= 0.4 and ((blend > 0).sum(dim=1) <= 2).all()
    # a fifth of the blends is with the label itself
    assert (blend[:, 3] < 1).float().mean().item() == pytest.approx(0.5 * 4 / 5, abs=0.04)


def test_labels_are_corrupted_as_often_as_asked():
    labels = torch.zeros(2000, dtype=torch.int64)
    changed = (corrupt_labels(labels, 4, full_batch(0, 2000), 0.4) != 0).float().mean().item()
    assert changed == pytest.approx(0.4 * 3 / 4, abs=0.03)
    assert torch.equal(corrupt_labels(labels, 4, full_batch(0, 2000), 0.0), labels)
