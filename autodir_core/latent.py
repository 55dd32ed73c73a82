"""The way into the latent space and back: the autoencoder with AutoDIR's conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


def encode_mode(vae: AutoencoderKL, x: Tensor) -> Tensor:
    """Mode of the posterior of [B, 3, H, W] in -1..1, float32 [B, C, h, w].

    Neither sampled nor multiplied by the latent scale (official `encode_first_stage(...).mode()`).
    """
    return vae.encode(x.to(vae.dtype)).latent_dist.mode().float()


def decode(vae: AutoencoderKL, latent: Tensor, scale: float) -> Tensor:
    """Picture [B, 3, H, W] of a scaled latent [B, C, h, w], float32, not clamped."""
    return vae.decode((latent / scale).to(vae.dtype)).sample.float()
