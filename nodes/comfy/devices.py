"""Devices and precisions, as ComfyUI and its start options choose them."""
# pyright: reportMissingImports=false

from __future__ import annotations

import comfy.model_management
import torch


def load_device() -> torch.device:
    """Return the device that networks run on."""
    return comfy.model_management.get_torch_device()


def intermediate_device() -> torch.device:
    """Return the device of images, latents and conditionings between nodes."""
    return comfy.model_management.intermediate_device()


def unet_dtype() -> torch.dtype:
    """Return the precision of the diffusion on the load device."""
    if comfy.model_management.should_use_fp16(load_device()):
        return torch.float16
    return torch.bfloat16 if comfy.model_management.should_use_bf16(load_device()) else torch.float32


def vae_dtype() -> torch.dtype:
    """Return the precision of the autoencoder on the load device."""
    return comfy.model_management.vae_dtype(load_device(), [torch.bfloat16])
