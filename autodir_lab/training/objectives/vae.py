"""Trains the mini model's autoencoder on pictures clean and degraded, and gives its latents the official spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from autodir_core.imaging.layout import to_network
from autodir_core.stages.autoencoder import decode, encode_mode, posterior

from ..data.crops import Crops, Data, draw_batch
from ..data.microbatch import MicroBatch, full_batch
from ..engine.loop import Losses, Objective
from .losses import charbonnier_loss, kl_loss

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

KL_WEIGHT = 1e-5


@dataclass(frozen=True)
class VAEPlan:
    """What a step of the autoencoder's training sees."""

    crops: Crops = Crops(256, clean_share=0.5)


def vae_objective(vae: AutoencoderKL, data: Data, plan: VAEPlan) -> Objective:
    """Reconstruction and divergence over degraded and clean crops."""

    def objective(micro: MicroBatch) -> Losses:
        batch = draw_batch(data, micro, plan.crops).to(vae.device)
        x = to_network(batch.degraded)
        latent = posterior(vae, x)
        noise = micro.noise("posterior", tuple(latent.mean.shape[1:])).to(latent.mean)
        reconstruction = decode(vae, latent.mean + latent.std * noise, scale=1.0)
        losses = {
            "charbonnier": charbonnier_loss(reconstruction, x),
            "mse": 2 * nn.functional.mse_loss(reconstruction, x),
            "kl": KL_WEIGHT * kl_loss(latent.mean, latent.logvar),
        }
        return {name: micro.weight * loss for name, loss in losses.items()}

    return objective


@torch.no_grad()
def scale_latents(vae: AutoencoderKL, data: Data, spread: float, *, seed: int = 0) -> float:
    """Rescale the 1x1 convolutions around the latent so that its standard deviation is `spread`; the factor used.

    With 1 / 0.18215 every consumer of the file finds the official latent scale.
    """
    batch = draw_batch(data, full_batch(seed, 32), Crops(128, clean_share=0.5)).to(vae.device)
    factor = spread / encode_mode(vae, to_network(batch.degraded)).std().item()
    back = vae.get_parameter("post_quant_conv.weight")
    stretch(vae.get_parameter("quant_conv.weight"), vae.get_parameter("quant_conv.bias"), factor, len(back))
    back.div_(factor)
    return factor


def stretch(weight: Tensor, bias: Tensor, factor: float, channels: int) -> None:
    """Multiply the means by `factor` and move the log variances (the second half of the outputs) to match."""
    weight[:channels].mul_(factor)
    bias[:channels].mul_(factor)
    bias[channels:].add_(2 * float(np.log(factor)))
