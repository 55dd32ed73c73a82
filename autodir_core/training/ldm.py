"""Trains the latent diffusion: predict the noise, given the degraded picture and its text (paper section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..images import to_network
from ..latent import encode_mode
from ..schedule import TIMESTEPS, alphas_cumprod
from .data import draw_batch
from .loop import Losses, Objective
from .losses import noise_loss, noised

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

DROPPED = 0.05
"""Share of pictures that lose the text, that lose the image, and that lose both (official script)."""


@dataclass(frozen=True)
class LDMPlan:
    """What a step of the diffusion's training sees.

    Args:
        batch: crops per step.
        size: side of the crops in pixels.
        start_weight: 0 is the paper's loss. Larger: the error of the clean latent that a prediction implies counts
            too, at most so many times as much as the noise's; few steps then need not correct each other.
    """

    batch: int = 16
    size: int = 64
    start_weight: float = 0.0


@dataclass(frozen=True)
class Conditions:
    """What the UNet is told: image latents [B, C, h, w], and text states [B, 77, D]."""

    image: Tensor
    text: Tensor


def ldm_objective(
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    texts: Tensor,
    null_text: Tensor,
    *,
    scenes: np.ndarray,
    plan: LDMPlan,
    scale: float,
) -> Objective:
    """The noise loss over procedural scenes.

    Args:
        unet: what is trained.
        vae: the frozen autoencoder.
        texts: states [L, 77, D] of the label prompts: one-hot times these is the condition, as officially.
        null_text: states [1, 77, D] of the empty prompt.
        scenes: see `data.cached_scenes`.
        plan: batch and crop.
        scale: the latent scale.
    """
    signal = alphas_cumprod()

    def objective(step: int, rng: np.random.Generator) -> Losses:
        batch = draw_batch(scenes, plan.batch, rng, size=plan.size, clean_share=0.05)
        with torch.no_grad():
            target = encode_mode(vae, to_network(batch.clean)) * scale
            image = encode_mode(vae, to_network(batch.degraded))
        t = torch.from_numpy(rng.integers(0, TIMESTEPS, plan.batch))
        noise = torch.randn_like(target)
        x = noised(target, noise, signal[t])
        given = dropped(Conditions(image, texts[batch.labels]), null_text, rng)
        predicted = unet(torch.cat([x, given.image], dim=1), t, encoder_hidden_states=given.text).sample
        weight = 1 + ((1 - signal[t]) / signal[t]).clamp(max=plan.start_weight)
        return {"noise": noise_loss(predicted, noise, weight if plan.start_weight else None)}

    return objective


def dropped(conditions: Conditions, null_text: Tensor, rng: np.random.Generator) -> Conditions:
    """Some pictures without text, some without image, some without both."""
    lot = torch.from_numpy(rng.random(len(conditions.text)).astype(np.float32)).view(-1, 1, 1)
    text = torch.where(lot < 2 * DROPPED, null_text, conditions.text)
    lot = lot[..., None]
    image = torch.where((lot >= DROPPED) & (lot < 3 * DROPPED), torch.zeros(()), conditions.image)
    return Conditions(image, text)
