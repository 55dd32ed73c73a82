"""What a network is trained for; and the losses of the paper and of the official training step, as pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.dataset import Batch, MicroBatch, PairDataset

FIDELITY_EPSILON = 1e-8

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Objective:
    """What a network is trained for.

    Attributes:
        dataset: gives the pictures of a micro-batch.
        losses: weighted losses of a micro-batch and its pictures, in proportion to its part of the batch: those of all
            micro-batches of a step add up to the mean over the batch, which is minimized in sum.
    """

    dataset: PairDataset
    losses: Callable[[MicroBatch, Batch], Losses]

    def __call__(self, micro: MicroBatch) -> Losses:
        """Return the losses of a micro-batch whose pictures are drawn here and now."""
        return self.losses(micro, self.dataset[micro])


def fidelity_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """Return (1 - sum_i sqrt(p_i g_i + 1e-8)) / L, mean over the batch (official `loss_fidelity`).

    Args:
        probabilities: [B, L], rows sum to 1.
        target: [B, L], rows sum to 1; one-hot officially.
    """
    overlap = (probabilities * target + FIDELITY_EPSILON).sqrt().sum(dim=1)
    return ((1 - overlap) / probabilities.shape[1]).mean()


def semantic_agnostic_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Penalize, on a degraded picture's ground truth, the probability of that degradation (paper section 3.2).

    The fidelity between (p, 1 - p) and (0, 1): 1 - sqrt(1 - p), mean over the batch.

    Args:
        probabilities: [B, L] on the ground truths.
        labels: [B] degradations of the pictures that they are the ground truths of.
    """
    probability = probabilities.gather(1, labels[:, None])[:, 0]
    return (1 - (1 - probability + FIDELITY_EPSILON).sqrt()).mean()


def noise_loss(predicted: Tensor, noise: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the mean squared error of the predicted noise, [B, C, h, w] each (Ho et al. 2020, L_simple).

    Weights [B] multiply each picture's error (Hang et al. 2023 weight by the signal-to-noise ratio).
    """
    error = (predicted - noise) ** 2
    return error.mean() if weight is None else (weight.view(-1, 1, 1, 1) * error).mean()


def psnr_loss(corrected: Tensor, target: Tensor, floor: float = 1e-4) -> Tensor:
    """Return log10 of each picture's mean squared error, mean over the batch (NAFNet's own training loss).

    Every decibel counts the same, whether the picture was nearly right or far off; [B, 3, H, W] each.
    """
    return torch.log10(((corrected - target) ** 2).mean(dim=(1, 2, 3)) + floor).mean()


def charbonnier_loss(x: Tensor, target: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Return the mean of sqrt(d^2 + eps^2): an L1 loss that is smooth at 0 (Charbonnier et al. 1994)."""
    return ((x - target) ** 2 + epsilon**2).sqrt().mean()


def kl_loss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of N(mean, variance) from N(0, 1), mean per latent value (Kingma and Welling 2014)."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()


def add_noise(latent: Tensor, noise: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Return sqrt(a) latent + sqrt(1 - a) noise, with a [B] (LDM `q_sample`)."""
    signal = alphas_cumprod.view(-1, 1, 1, 1)
    return signal.sqrt() * latent + (1 - signal).sqrt() * noise


def predict_x0(x: Tensor, predicted: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Return the clean latent that a noise prediction implies (LDM `predict_start_from_noise`)."""
    signal = alphas_cumprod.view(-1, 1, 1, 1)
    return (x - (1 - signal).sqrt() * predicted) / signal.sqrt()


def implied_noise(x: Tensor, latent: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Return the noise prediction that implies `latent`, the inverse of `predict_x0`; what `add_noise` added to it."""
    signal = alphas_cumprod.view(-1, 1, 1, 1)
    return (x - signal.sqrt() * latent) / (1 - signal).sqrt()
