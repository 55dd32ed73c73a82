"""Objective of the structure correction, on what autoencoder and diffusion really generate (paper section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from autodir_core.diffusion.schedule import TIMESTEPS, alphas_cumprod
from autodir_core.imaging.layout import from_network, to_network
from autodir_core.model import AutoDIR
from autodir_core.settings import SamplerSettings

from ..data.crops import CropConfig
from ..data.dataset import Batch, MicroBatch, PairDataset
from ..data.sources import TrainingData
from .ldm import mix_label_embeddings
from .losses import Losses, Objective, add_noise, charbonnier_loss, predict_x0, psnr_loss


@dataclass(frozen=True)
class SCMObjectiveConfig:
    """Pictures and losses of a training of the correction.

    Args:
        crops: how crops are drawn; the correction of a clean one is the crop itself.
        sampled_fraction: fraction of the steps whose generated pictures are sampled in a few steps.
        pure_noise_fraction: fraction of the steps that take the estimate out of noise alone, as sampling begins. All
            others take it from a random timestep, as the official training does: there the noisy latent shows the
            ground truth's brightness and colors, and the correction learns to trust a generated picture too much.
        sampling_steps: steps of such a sampling.
        wrong_label_fraction: fraction of the crops that are generated under another label, as after a wrong assessment.
        mixed_label_fraction: fraction of the crops under a mixture of two labels, see `mix_label_embeddings`.
        second_round_fraction: fraction of the steps that restore what the correction itself gave, as in the loop.
        mse_weight: of the official loss.
        psnr_weight: of the same error in decibels.
        charbonnier_weight: of the absolute error.
    """

    crops: CropConfig = CropConfig(256, clean_fraction=0.1)
    sampled_fraction: float = 0.0
    pure_noise_fraction: float = 0.0
    sampling_steps: int = 6
    wrong_label_fraction: float = 0.0
    mixed_label_fraction: float = 0.0
    second_round_fraction: float = 0.0
    mse_weight: float = 1.0
    psnr_weight: float = 0.0
    charbonnier_weight: float = 0.0


def scm_objective(model: AutoDIR, data: TrainingData, config: SCMObjectiveConfig) -> Objective:
    """Return the objective of the correction: the error of the corrected pictures."""
    texts = model.prompts(model.labels).states.clone()
    scm = model.networks.scm.to(memory_format=torch.channels_last)  # on a CPU three times as fast, the same numbers

    def losses(micro: MicroBatch, batch: Batch) -> Losses:
        batch = batch.to(model.device)
        batch = replace(batch, labels=corrupt_labels(batch.labels, len(texts), micro, config.wrong_label_fraction))
        generated = generate(model, batch, texts, micro, config)
        if micro.step_rng("again").random() < config.second_round_fraction:
            with torch.no_grad():
                restored = from_network(scm(to_network(batch.degraded), to_network(generated)).float())
            labels = micro.integers("other labels", len(texts)).to(model.device)
            batch = replace(batch, degraded=restored, labels=labels)
            generated = generate(model, batch, texts, replace(micro, seed=micro.seed + 1), config)
        corrected = scm(to_network(batch.degraded), to_network(generated))
        found = correction_losses(corrected, to_network(batch.clean), config)
        return {name: micro.weight * loss for name, loss in found.items()}

    return Objective(PairDataset(data, config.crops), losses)


def correction_losses(corrected: Tensor, target: Tensor, config: SCMObjectiveConfig) -> Losses:
    """Return the weighted losses that have a weight, [B, 3, H, W] each picture."""
    weighted = {
        "mse": (config.mse_weight, nn.functional.mse_loss),  # official
        "psnr": (config.psnr_weight, psnr_loss),
        "charbonnier": (config.charbonnier_weight, charbonnier_loss),
    }
    return {name: weight * loss(corrected, target) for name, (weight, loss) in weighted.items() if weight}


def corrupt_labels(labels: Tensor, count: int, micro: MicroBatch, fraction: float) -> Tensor:
    """Replace a fraction of the labels [B] by any of `count` at random."""
    others = micro.integers("wrong labels", count).to(labels)
    return torch.where(micro.uniform("mislabelled").to(labels.device) < fraction, others, labels)


@torch.no_grad()
def generate(model: AutoDIR, batch: Batch, texts: Tensor, micro: MicroBatch, config: SCMObjectiveConfig) -> Tensor:
    """Generate pictures [B, S, S, 3]: sampled, or estimated in one step, depending on a random draw for the step."""
    text = mix_label_embeddings(texts, batch.labels, micro, config.mixed_label_fraction)
    image_latent = model.encode(batch.degraded).clone()
    rng, size = micro.step_rng("generate"), (batch.clean.shape[1], batch.clean.shape[2])
    lot = rng.random()
    if lot < config.sampled_fraction:
        sampler = str(rng.choice(["euler", "euler_ancestral"]))
        settings = SamplerSettings(steps=config.sampling_steps, sampler=sampler)
        seeds = micro.integers("sampling", 2**31).tolist()
        return model.decode(model.sample(image_latent, text, settings, seed=seeds), size).clone()
    terminal = lot < config.sampled_fraction + config.pure_noise_fraction
    t = torch.full((len(micro.indices),), TIMESTEPS - 1) if terminal else micro.integers("timesteps", TIMESTEPS)
    signal = alphas_cumprod()[t].to(model.device)
    noise = micro.noise("noise", tuple(image_latent.shape[1:])).to(image_latent)
    x = noise if terminal else add_noise(model.encode(batch.clean) * model.metadata.latent_scale, noise, signal)
    estimate = predict_x0(x, model.predict_noise(x, t.to(model.device), image_latent, text), signal)
    return model.decode(estimate.clamp(-4, 4), size).clone()
