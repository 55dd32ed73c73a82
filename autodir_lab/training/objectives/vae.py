"""Objective of the mini model's autoencoder, on clean and degraded pictures, and the official spread of its latents."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autodir_core.imaging.layout import to_network
from autodir_core.model import AutoDIR
from autodir_core.stages.autoencoder import decode, encode_mode, posterior

from ..data.crops import CropConfig
from ..data.dataset import Batch, MicroBatch, PairDataset, full_batch
from ..data.sources import TrainingData
from .losses import Losses, Objective, charbonnier_loss, kl_loss

KL_WEIGHT = 1e-5


@dataclass(frozen=True)
class VAEObjectiveConfig:
    """Pictures of a training of the autoencoder."""

    crops: CropConfig = CropConfig(256, clean_fraction=0.5)


def vae_objective(model: AutoDIR, data: TrainingData, config: VAEObjectiveConfig) -> Objective:
    """Return the objective of the autoencoder: reconstruction and divergence."""
    vae = model.networks.vae

    def losses(micro: MicroBatch, batch: Batch) -> Losses:
        x = to_network(batch.degraded.to(vae.device))
        latent = posterior(vae, x)
        noise = micro.noise("posterior", tuple(latent.mean.shape[1:])).to(latent.mean)
        reconstruction = decode(vae, latent.mean + latent.std * noise, scale=1.0)
        found = {
            "charbonnier": charbonnier_loss(reconstruction, x),
            "mse": 2 * nn.functional.mse_loss(reconstruction, x),
            "kl": KL_WEIGHT * kl_loss(latent.mean, latent.logvar),
        }
        return {name: micro.weight * loss for name, loss in found.items()}

    return Objective(PairDataset(data, config.crops), losses)


@torch.no_grad()
def rescale_latents(model: AutoDIR, data: TrainingData, *, seed: int = 0) -> float:
    """Rescale the 1x1 convolutions around the latent to a standard deviation of 1 / scale; return the factor.

    So every consumer of the file finds the latent scale of its metadata, officially 0.18215.
    """
    vae = model.networks.vae
    batch = PairDataset(data, CropConfig(128, clean_fraction=0.5))[full_batch(seed, 32)]
    std = encode_mode(vae, to_network(batch.degraded.to(vae.device))).std().item()
    factor = 1 / model.metadata.latent_scale / std
    back = vae.get_parameter("post_quant_conv.weight")
    scale_posterior(vae.get_parameter("quant_conv.weight"), vae.get_parameter("quant_conv.bias"), factor, len(back))
    back.div_(factor)
    return factor


def scale_posterior(weight: Tensor, bias: Tensor, factor: float, channels: int) -> None:
    """Multiply the means by `factor` and move the log variances (the second half of the outputs) to match."""
    weight[:channels].mul_(factor)
    bias[:channels].mul_(factor)
    bias[channels:].add_(2 * math.log(factor))
