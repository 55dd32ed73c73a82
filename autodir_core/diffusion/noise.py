"""Noise from seeds: each picture of a batch has its own generator, so that it gives what it gives alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .samplers import NoiseSampler

Seed = int | Sequence[int]
MAX_SEED = 2**64 - 1


@dataclass(frozen=True)
class PictureNoise:
    """The noise of one picture: its seed, or the initial and step noise that were given instead."""

    seed: int
    initial: Tensor | None
    sampler: NoiseSampler | None


def picture_seeds(seed: Seed, batch: int) -> list[int]:
    """Return one seed per picture: seed + i, or the given list."""
    if isinstance(seed, int):
        return [(seed + i) & MAX_SEED for i in range(batch)]
    if len(seed) != batch:
        raise InputError(f"a list of seeds needs one per picture ({batch}), got {len(seed)}")
    return [int(value) & MAX_SEED for value in seed]


def seeded_noise(seed: Seed, shape: torch.Size) -> tuple[Tensor, NoiseSampler]:
    """Return initial noise of `shape` [B, C, h, w] and a sampler that continues each picture's stream, on the CPU.

    The numbers are the official script's, which calls `torch.manual_seed(seed)` and draws from the global stream.
    """
    generators = [torch.Generator().manual_seed(value) for value in picture_seeds(seed, shape[0])]

    def draw(*levels: Tensor) -> Tensor:
        return torch.stack([torch.randn(shape[1:], generator=generator) for generator in generators])

    return draw(), draw


def picture_noises(
    batch: int, seed: Seed, *, noise: Tensor | None = None, noise_sampler: NoiseSampler | None = None
) -> list[PictureNoise]:
    """Return the noise of each picture of a batch; a given sampler is called once per step and repeats in every round.

    Args:
        batch: number of pictures.
        seed: as in `picture_seeds`.
        noise: initial noise [B, C, h, w], or None.
        noise_sampler: (sigma, sigma_next) -> [B, C, h, w], or None.
    """
    if noise is not None and len(noise) != batch:
        raise InputError(f"noise needs one row per picture ({batch}), got {len(noise)}")
    shared = None if noise_sampler is None else replay_noise_sampler(noise_sampler)
    starts = [None] * batch if noise is None else noise.split(1)
    samplers = [None if shared is None else select_picture(shared, i) for i in range(batch)]
    return [PictureNoise(*row) for row in zip(picture_seeds(seed, batch), starts, samplers, strict=True)]


def replay_noise_sampler(noise_sampler: NoiseSampler) -> NoiseSampler:
    """Return a sampler that calls the given one once per pair of noise levels and repeats its tensor afterwards."""
    drawn: dict[tuple[float, float], Tensor] = {}

    def replay(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        pair = (float(sigma), float(sigma_next))
        if pair not in drawn:
            drawn[pair] = noise_sampler(sigma, sigma_next)
        return drawn[pair]

    return replay


def select_picture(noise_sampler: NoiseSampler, row: int) -> NoiseSampler:
    """Return the sampler of one picture of a batch."""
    return lambda sigma, sigma_next: noise_sampler(sigma, sigma_next)[row : row + 1]


def check_noise(noise: Tensor, image_latent: Tensor) -> Tensor:
    """Return the initial noise; InputError unless it has the shape of the conditioning latent."""
    if noise.shape != image_latent.shape:
        raise InputError(f"noise must have the latent's shape {list(image_latent.shape)}, got {list(noise.shape)}")
    return noise
