"""The noise schedule: which sigma belongs to which of the 1000 training timesteps, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError

TIMESTEPS = 1000
LINEAR_START = 0.00085
LINEAR_END = 0.012


def alphas_cumprod() -> Tensor:
    """Share of signal left after each training step, float32 [1000], falling (LDM `make_beta_schedule`, "linear")."""
    betas = torch.linspace(LINEAR_START**0.5, LINEAR_END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(dim=0).float()


def training_sigmas() -> Tensor:
    """Noise level of each training step, sqrt((1 - a) / a), float32 [1000], rising from 0.0292 to 14.61."""
    signal = alphas_cumprod()
    return ((1 - signal) / signal) ** 0.5


def timestep_to_sigma(timestep: Tensor) -> Tensor:
    """Noise level at a fractional timestep in 0..999, interpolated in the logarithm (k-diffusion `t_to_sigma`)."""
    log_sigmas = training_sigmas().log()
    low, high, share = timestep.floor().long(), timestep.ceil().long(), timestep.frac()
    return ((1 - share) * log_sigmas[low] + share * log_sigmas[high]).exp()


def sigma_to_timestep(sigma: Tensor) -> Tensor:
    """Fractional timestep in 0..999 of a noise level, float32, same shape (k-diffusion `sigma_to_t`, not quantised)."""
    log_sigmas = training_sigmas().log()
    log_sigma = sigma.detach().float().cpu().log()
    low = (torch.searchsorted(log_sigmas, log_sigma, right=True) - 1).clamp(0, TIMESTEPS - 2)
    share = (log_sigmas[low] - log_sigma) / (log_sigmas[low] - log_sigmas[low + 1])
    share = share.clamp(0, 1)
    return (1 - share) * low + share * (low + 1)


def sigmas(steps: int) -> Tensor:
    """Noise levels of a run, falling, float32 [steps + 1], the last one 0 (k-diffusion `get_sigmas`).

    The timesteps are spread evenly over 999..0; a run of one step starts at 999.
    """
    if steps < 1:
        raise InputError(f"steps must be 1 or more, got {steps}")
    levels = timestep_to_sigma(torch.linspace(TIMESTEPS - 1, 0, steps))
    return torch.cat([levels, levels.new_zeros(1)])
