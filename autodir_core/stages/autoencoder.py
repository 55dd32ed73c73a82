"""The way into the latent space and back: the autoencoder with AutoDIR's conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor

from ..networks.build import weight_dtype

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
    from torch import FloatTensor


def posterior(vae: AutoencoderKL, x: Tensor) -> DiagonalGaussianDistribution:
    """Encode [B, 3, H, W] in -1..1 to mean and log variance of the latent [B, C, h, w]."""
    return vae.encode(x, return_dict=False)[0]


def encode_mode(vae: AutoencoderKL, x: Tensor) -> Tensor:
    """Return the posterior's mode of [B, 3, H, W] in -1..1, float32 [B, C, h, w].

    Neither sampled nor multiplied by the latent scale (official `encode_first_stage(...).mode()`).
    """
    return posterior(vae, x.to(weight_dtype(vae))).mode().float()


def decode(vae: AutoencoderKL, latent: Tensor, scale: float) -> Tensor:
    """Decode a scaled latent [B, C, h, w] to [B, 3, H, W], float32, not clamped."""
    # diffusers asks for a FloatTensor where it takes any precision
    return vae.decode(cast("FloatTensor", (latent / scale).to(weight_dtype(vae))), return_dict=False)[0].float()
