"""Objective of the latent diffusion: predict the noise, given the degraded picture and its text (paper section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autodir_core.diffusion.schedule import TIMESTEPS, alphas_cumprod
from autodir_core.imaging.layout import to_network
from autodir_core.model import AutoDIR
from autodir_core.stages.autoencoder import encode_mode

from ..data.crops import CropConfig
from ..data.dataset import Batch, MicroBatch, PairDataset
from ..data.sources import TrainingData
from .losses import Losses, Objective, add_noise, implied_noise, noise_loss

CONDITION_DROPOUT = 0.05
"""Fraction of pictures that lose the text, that lose the image, and that lose both (official script)."""

MIN_LABEL_WEIGHT = 0.4
"""Least weight of the right label in a mixture: with less, another one would be restored."""


@dataclass(frozen=True)
class LDMObjectiveConfig:
    """Pictures and losses of a training of the diffusion.

    Args:
        crops: how crops are drawn.
        max_inverse_snr: the noise loss is weighted by 1 + min(1 / SNR, this); 0 is the paper's loss. 1 / SNR times the
            noise's error is that of the implied clean latent; few sampling steps then need not correct each other.
        pure_noise_fraction: fraction of the pictures that are terminal-noise steps: at the last timestep, from noise
            alone, as sampling begins. The official schedule leaves a trace of the ground truth even there (Lin et al.
            2024), and a network that learns to read brightness and colors off it finds none when it samples.
        mixed_label_fraction: fraction of the pictures under a mixture of two labels, see `mix_label_embeddings`; 0 is
            the official way.
    """

    crops: CropConfig = CropConfig(256, clean_fraction=0.05)
    max_inverse_snr: float = 0.0
    pure_noise_fraction: float = 0.0
    mixed_label_fraction: float = 0.0


def ldm_objective(model: AutoDIR, data: TrainingData, config: LDMObjectiveConfig) -> Objective:
    """Return the objective of the diffusion: its UNet is trained, the autoencoder and the label prompts are frozen."""
    unet, vae, scale = model.networks.unet, model.networks.vae, model.metadata.latent_scale
    texts, null_text = model.prompts(model.labels).states.clone(), model.null_text.clone()
    signal = alphas_cumprod().to(model.device)

    def losses(micro: MicroBatch, batch: Batch) -> Losses:
        batch = batch.to(model.device)
        with torch.no_grad():
            target = encode_mode(vae, to_network(batch.clean)) * scale
            image = encode_mode(vae, to_network(batch.degraded))
        terminal = (micro.uniform("blind") < config.pure_noise_fraction).to(model.device)
        t = micro.integers("timesteps", TIMESTEPS).to(model.device).masked_fill(terminal, TIMESTEPS - 1)
        noise = micro.noise("noise", tuple(target.shape[1:])).to(target)
        x = torch.where(terminal.view(-1, 1, 1, 1), noise, add_noise(target, noise, signal[t]))
        text = mix_label_embeddings(texts, batch.labels, micro, config.mixed_label_fraction)
        image, text = drop_conditions(image, text, null_text, micro.uniform("dropped").to(image))
        predicted = unet(torch.cat([x, image], dim=1), t, encoder_hidden_states=text).sample
        weight = 1 + ((1 - signal[t]) / signal[t]).clamp(max=config.max_inverse_snr)
        wanted = implied_noise(x, target, signal[t])
        return {"noise": micro.weight * noise_loss(predicted, wanted, weight if config.max_inverse_snr else None)}

    return Objective(PairDataset(data, config.crops), losses)


def drop_conditions(image: Tensor, text: Tensor, null_text: Tensor, lots: Tensor) -> tuple[Tensor, Tensor]:
    """Zero the image latents [B, C, h, w] of some pictures, replace the text [B, 77, D] of some, and of some both.

    Lots [B] in 0..1 decide for each picture.
    """
    without_text = (lots < 2 * CONDITION_DROPOUT).view(-1, 1, 1)
    without_image = ((lots >= CONDITION_DROPOUT) & (lots < 3 * CONDITION_DROPOUT)).view(-1, 1, 1, 1)
    return torch.where(without_image, torch.zeros_like(image), image), torch.where(without_text, null_text, text)


def mix_label_embeddings(texts: Tensor, labels: Tensor, micro: MicroBatch, fraction: float) -> Tensor:
    """Return the text states [B, 77, D] of labels [B], a fraction of them mixed with any other label's.

    The official training conditions on the label alone; sampling is conditioned on the assessment's blend (paper
    section 3.2), which asks a diffusion that never saw one for half a restoration.

    Args:
        texts: states [L, 77, D] of the label prompts.
        labels: [B] indices.
        micro: draws the mixtures.
        fraction: of the pictures that get one, 0..1.
    """
    weights = MIN_LABEL_WEIGHT + (1 - MIN_LABEL_WEIGHT) * micro.uniform("own part")
    weights = torch.where(micro.uniform("blended") < fraction, weights, 1.0).to(texts).view(-1, 1, 1)
    others = micro.integers("blended with", len(texts)).to(labels.device)
    return weights * texts[labels] + (1 - weights) * texts[others]
