"""Classifier-free guidance over two conditions, evaluating only the branches that count."""

from __future__ import annotations

from collections.abc import Callable
from math import lcm

import torch
from torch import Tensor

from .schedule import sigma_to_timestep

PredictNoise = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Denoise = Callable[[Tensor, Tensor], Tensor]


def branch_weights(text_guidance: float, image_guidance: float) -> dict[str, float]:
    """Return the weight of each branch whose weight is not 0; the weights sum to 1.

    unc + s_text (full - img) + s_img (img - unc), reordered: "full" is text + image, "image" is the null text with the
    image, "none" the null text with a zero image (official `CFGDenoiser`). Scales of 1 and 1 need "full" alone.
    """
    weights = {"full": text_guidance, "image": image_guidance - text_guidance, "none": 1 - image_guidance}
    return {name: weight for name, weight in weights.items() if weight != 0}


def denoiser(predict_noise: PredictNoise, condition: Tensor, text: Tensor) -> Denoise:
    """Return `denoise(x, sigma) -> x0` for a network that predicts noise (k-diffusion `CompVisDenoiser`).

    Args:
        predict_noise: (x [B, C, h, w], t [B], condition, text) -> [B, C, h, w].
        condition: [B, C, h, w] image latent.
        text: [B, 77, D] text states.
    """

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        timestep = sigma_to_timestep(sigma).to(x.device).expand(len(x))
        scale = (1 / (sigma**2 + 1) ** 0.5).to(x.device)
        return x - sigma.to(x.device) * predict_noise(x * scale, timestep, condition, text)

    return denoise


def guided_denoiser(
    predict_noise: PredictNoise, condition: Tensor, text: Tensor, *, null_text: Tensor, weights: dict[str, float]
) -> Denoise:
    """Return the denoiser whose result is the weighted sum of up to three branches, run as one batch.

    Args:
        predict_noise: see `denoiser`.
        condition: [B, C, h, w] image latent.
        text: [B, T, D] text states; T is 77, or more where several texts were joined.
        null_text: [1, 77, D] states of the empty prompt, or of a negative one.
        weights: from `branch_weights`.
    """
    null = null_text.expand(len(text), -1, -1)
    if len(weights) > 1:
        text, null = repeat_to_common_length(text, null)
    branches = {"full": (condition, text), "image": (condition, null), "none": (torch.zeros_like(condition), null)}
    conditions, texts = zip(*(branches[name] for name in weights), strict=True)
    denoise_all = denoiser(predict_noise, torch.cat(conditions), torch.cat(texts))

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        parts = denoise_all(x.repeat(len(weights), 1, 1, 1), sigma).chunk(len(weights))
        return sum((weight * part for weight, part in zip(weights.values(), parts, strict=True)), torch.zeros_like(x))

    return denoise


def repeat_to_common_length(*texts: Tensor) -> tuple[Tensor, ...]:
    """Repeat text states [B, T, D] to one length T: attention does not see the repetition."""
    length = lcm(*(text.shape[1] for text in texts))
    return tuple(text.repeat(1, length // text.shape[1], 1) for text in texts)
