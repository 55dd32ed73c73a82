"""Write a trained model under the official names; a .ckpt also gets every key that the official code loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from autodir_core.checkpoint.key_map import POSITION_IDS
from autodir_core.checkpoint.save import official_state, save_model
from autodir_core.devices import parse_dtype
from autodir_core.diffusion.schedule import LINEAR_END, LINEAR_START, TIMESTEPS
from autodir_core.model import AutoDIR
from autodir_core.networks.config import CLIPConfig
from autodir_core.serialization.atomic import atomic_path, explain_write


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
    """Write tensors in the container of the official file, a pickle with a `state_dict`."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    with atomic_path(path) as temporary, explain_write(path, RuntimeError):
        torch.save({"state_dict": tensors}, temporary)


def official_buffers(clip: CLIPConfig) -> dict[str, Tensor]:
    """Return the buffers that the official code loads strictly: the noise schedule and position ids (LDM `DDPM`)."""
    tokens = (clip.context, (clip.image // clip.patch) ** 2 + 1)
    positions = {key: torch.arange(count)[None] for key, count in zip(POSITION_IDS, tokens, strict=True)}
    return {**{key: values.float() for key, values in schedule_buffers().items()}, **positions}


def schedule_buffers() -> dict[str, Tensor]:
    """Return the twelve buffers [1000] of the noise schedule in float64 (LDM `register_schedule`)."""
    betas = torch.linspace(LINEAR_START**0.5, LINEAR_END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    cumprod = (alphas := 1 - betas).cumprod(dim=0)
    previous = torch.cat([cumprod.new_ones(1), cumprod[:-1]])
    variance = betas * (1 - previous) / (1 - cumprod)
    return {
        "betas": betas,
        "alphas_cumprod": cumprod,
        "alphas_cumprod_prev": previous,
        "sqrt_alphas_cumprod": cumprod.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - cumprod).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - cumprod).log(),
        "sqrt_recip_alphas_cumprod": (1 / cumprod).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / cumprod - 1).sqrt(),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp(min=1e-20).log(),
        "posterior_mean_coef1": betas * previous.sqrt() / (1 - cumprod),
        "posterior_mean_coef2": (1 - previous) * alphas.sqrt() / (1 - cumprod),
    }
