"""The noise schedule: which sigma belongs to which of the 1000 training timesteps, and back."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ..errors import InputError

TIMESTEPS = 1000
LINEAR_START = 0.00085
LINEAR_END = 0.012


def alphas_cumprod() -> Tensor:
    """Return the signal left after each step, float32 [1000], falling (LDM `make_beta_schedule`, "linear")."""
    betas = torch.linspace(LINEAR_START**0.5, LINEAR_END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(dim=0).float()


def training_sigmas() -> Tensor:
    """Return the noise level of each training step, sqrt((1 - a) / a), float32 [1000], rising from 0.0292 to 14.61."""
    signal = alphas_cumprod()
    return ((1 - signal) / signal) ** 0.5


@lru_cache(maxsize=1)
def log_sigmas() -> Tensor:
    """Return the logarithm of `training_sigmas`, computed once; not to be written to."""
    with torch.inference_mode(False):  # a table from inference mode could never take part in training
        return training_sigmas().log()


def timestep_to_sigma(timestep: Tensor) -> Tensor:
    """Return the noise level at a fractional timestep in 0..999, log-interpolated (k-diffusion `t_to_sigma`)."""
    table = log_sigmas()
    low, high, share = timestep.floor().long(), timestep.ceil().long(), timestep.frac()
    return ((1 - share) * table[low] + share * table[high]).exp()


def sigma_to_timestep(sigma: Tensor) -> Tensor:
    """Return the fractional timestep in 0..999 of a noise level (k-diffusion `sigma_to_t`, not quantized)."""
    table, log_sigma = log_sigmas(), sigma.detach().float().cpu().log()
    low = (torch.searchsorted(table, log_sigma, right=True) - 1).clamp(0, TIMESTEPS - 2)
    share = (table[low] - log_sigma) / (table[low] - table[low + 1])
    share = share.clamp(0, 1)
    return (1 - share) * low + share * (low + 1)


def sigmas(steps: int) -> Tensor:
    """Return the noise levels of a run, falling, float32 [steps + 1], the last one 0 (k-diffusion `get_sigmas`).

    The timesteps are spread evenly over 999..0; a run of one step starts at 999.
    """
    if steps < 1:
        raise InputError(f"steps must be 1 or more, got {steps}")
    levels = timestep_to_sigma(torch.linspace(TIMESTEPS - 1, 0, steps))
    return torch.cat([levels, levels.new_zeros(1)])
