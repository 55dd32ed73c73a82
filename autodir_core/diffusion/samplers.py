"""Samplers, one row each in `choices.SAMPLERS`: functions of `denoise(x, sigma) -> x0`, the start and noise levels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ..outputs import OnTile
from .guidance import Denoise

NoiseSampler = Callable[[Tensor, Tensor], Tensor]
OnStep = Callable[[int, Tensor], None]


def ancestral_step(sigma: Tensor, sigma_next: Tensor) -> tuple[Tensor, Tensor]:
    """Return the noise level to step down to and the noise to add, which together give `sigma_next`.

    k-diffusion `get_ancestral_step` with eta 1.
    """
    up = torch.minimum(sigma_next, (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5)
    return (sigma_next**2 - up**2) ** 0.5, up


def euler_ancestral(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSampler, on_step: OnStep) -> Tensor:
    """Ancestral Euler steps, the official sampler (k-diffusion `sample_euler_ancestral`, eta 1, s_noise 1)."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        on_step(i, denoised)
        down, up = ancestral_step(sigma, sigma_next)
        x = x + (x - denoised) / sigma.item() * (down - sigma).item()
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * up.item()
    return x


def euler(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSampler, on_step: OnStep) -> Tensor:
    """Deterministic Euler steps, algorithm 2 of Karras et al. 2022 without churn; draws no noise."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        on_step(i, denoised)
        x = x + (x - denoised) / sigma.item() * (sigma_next - sigma).item()
    return x


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSampler, on_step: OnStep) -> Tensor:
    """DPM-Solver++(2M), Lu et al. 2022: second order from the step before, for few steps; draws no noise."""
    before: Tensor | None = None
    log_snr = [-sigma.log().item() if sigma > 0 else float("inf") for sigma in sigmas]
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(i, denoised)
        target = denoised
        if before is not None and sigmas[i + 1] > 0:
            ratio = (log_snr[i] - log_snr[i - 1]) / (log_snr[i + 1] - log_snr[i])
            target = denoised + (denoised - before) / (2 * ratio)
        shrink = (sigmas[i + 1] / sigmas[i]).item()
        x = shrink * x + (1 - shrink) * target
        before = denoised
    return x


class StepCounter:
    """Reports the steps of a run, and the tiles of all steps."""

    def __init__(self, steps: int, on_step: OnStep | None, on_tile: OnTile | None) -> None:
        self.steps, self.step_callback, self.tile_callback = steps, on_step, on_tile
        self.finished = 0

    def on_step(self, step: int, estimate: Tensor) -> None:
        self.finished = step + 1
        if self.step_callback:
            self.step_callback(step, estimate)

    def on_tile(self, done: int, total: int) -> None:
        if self.tile_callback:
            self.tile_callback(self.finished * total + done, self.steps * total)
