"""Trains the latent diffusion: predict the noise, given the degraded picture and its text (paper section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autodir_core.diffusion.schedule import TIMESTEPS, alphas_cumprod
from autodir_core.imaging.layout import to_network
from autodir_core.stages.autoencoder import encode_mode

from ..data.crops import Crops, Data, draw_batch
from ..data.microbatch import MicroBatch
from ..engine.loop import Losses, Objective
from .label_mixing import told
from .losses import implied_noise, noise_loss, noised

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

DROPPED = 0.05
"""Share of pictures that lose the text, that lose the image, and that lose both (official script)."""


@dataclass(frozen=True)
class LDMPlan:
    """What a step of the diffusion's training sees.

    Args:
        crops: how crops are drawn.
        start_weight: 0 is the paper's loss. Larger: the error of the clean latent that a prediction implies counts
            too, at most so many times as much as the noise's; few steps then need not correct each other.
        blind: share of pictures that are begun as sampling begins them: at the last timestep, from noise alone. The
            official schedule leaves a trace of the ground truth even there (Lin et al. 2024), and a network that
            learns to read brightness and colours off it finds none when it samples.
        blended: share of pictures whose text is a blend of two labels', see `told`; 0 is the official way.
    """

    crops: Crops = Crops(256, clean_share=0.05)
    start_weight: float = 0.0
    blind: float = 0.0
    blended: float = 0.0


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
    data: Data,
    plan: LDMPlan,
    scale: float,
) -> Objective:
    """The noise loss.

    Args:
        unet: what is trained.
        vae: the frozen autoencoder.
        texts: states [L, 77, D] of the label prompts.
        null_text: states [1, 77, D] of the empty prompt.
        data: pictures under the labels that `texts` has.
        plan: crops and weights.
        scale: the latent scale.
    """
    signal = alphas_cumprod().to(unet.device)

    def objective(micro: MicroBatch) -> Losses:
        batch = draw_batch(data, micro, plan.crops).to(unet.device)
        with torch.no_grad():
            target = encode_mode(vae, to_network(batch.clean)) * scale
            image = encode_mode(vae, to_network(batch.degraded))
        blind = (micro.uniform("blind") < plan.blind).to(unet.device)
        t = micro.integers("timesteps", TIMESTEPS).to(unet.device).masked_fill(blind, TIMESTEPS - 1)
        noise = micro.noise("noise", tuple(target.shape[1:])).to(target)
        x = torch.where(blind.view(-1, 1, 1, 1), noise, noised(target, noise, signal[t]))
        text = told(texts, batch.labels, micro, plan.blended)
        given = dropped(Conditions(image, text), null_text, micro.uniform("dropped").to(image))
        predicted = unet(torch.cat([x, given.image], dim=1), t, encoder_hidden_states=given.text).sample
        weight = 1 + ((1 - signal[t]) / signal[t]).clamp(max=plan.start_weight)
        wanted = implied_noise(x, target, signal[t])
        return {"noise": micro.weight * noise_loss(predicted, wanted, weight if plan.start_weight else None)}

    return objective


def dropped(conditions: Conditions, null_text: Tensor, lots: Tensor) -> Conditions:
    """Some pictures without text, some without image, some without both, by lots [B] in 0..1."""
    lot = lots.view(-1, 1, 1)
    text = torch.where(lot < 2 * DROPPED, null_text, conditions.text)
    lot = lot[..., None]
    image = torch.where((lot >= DROPPED) & (lot < 3 * DROPPED), torch.zeros_like(conditions.image), conditions.image)
    return Conditions(image, text)
