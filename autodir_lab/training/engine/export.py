"""Writes a trained model as the official file is: the official names, and in a .ckpt everything that its code loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from autodir_core.checkpoint.key_map import POSITION_IDS
from autodir_core.checkpoint.load import official_state, save_model
from autodir_core.devices import parse_dtype
from autodir_core.diffusion.schedule import LINEAR_END, LINEAR_START, TIMESTEPS
from autodir_core.imaging.paths import atomic_path
from autodir_core.model import AutoDIR
from autodir_core.networks.config import CLIPConfig


def write_model(path: Path, model: AutoDIR, precision: str = "float32") -> None:
    """Write all four networks: `.ckpt` in float32 for the official code, any other suffix as safetensors.

    A `.ckpt` has no place for the model's metadata; other consumers than the official code want the safetensors file.
    """
    state = official_state(model.networks, model.config)
    if path.suffix == ".ckpt":
        write_checkpoint(path, {**official_buffers(model.config.clip), **state})
    else:
        save_model(path, state, model.metadata, parse_dtype(precision))


def write_checkpoint(path: Path, state: Mapping[str, Tensor]) -> None:
    """The container of the official file: `state_dict` under that name."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    with atomic_path(path) as temporary:
        torch.save({"state_dict": tensors}, temporary)


def official_buffers(clip: CLIPConfig) -> dict[str, Tensor]:
    """What the official code loads strictly although it follows from the schedule and the sizes (LDM `DDPM`)."""
    tokens = (clip.context, (clip.image // clip.patch) ** 2 + 1)
    positions = {key: torch.arange(count)[None] for key, count in zip(POSITION_IDS, tokens, strict=True)}
    return {**{key: values.float() for key, values in schedule_buffers().items()}, **positions}


def schedule_buffers() -> dict[str, Tensor]:
    """The twelve schedule buffers [1000] in float64 (LDM `register_schedule`)."""
    betas = torch.linspace(LINEAR_START**0.5, LINEAR_END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    alphas = 1 - betas
    product = alphas.cumprod(dim=0)
    before = torch.cat([product.new_ones(1), product[:-1]])
    variance = betas * (1 - before) / (1 - product)
    return {
        "betas": betas,
        "alphas_cumprod": product,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": product.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - product).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - product).log(),
        "sqrt_recip_alphas_cumprod": (1 / product).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / product - 1).sqrt(),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp(min=1e-20).log(),
        "posterior_mean_coef1": betas * before.sqrt() / (1 - product),
        "posterior_mean_coef2": (1 - before) * alphas.sqrt() / (1 - product),
    }
