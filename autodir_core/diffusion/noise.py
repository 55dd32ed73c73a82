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
    """Where the noise of one picture comes from: its seed, or the start and step noise that were given instead."""

    seed: int
    start: Tensor | None
    sampler: NoiseSampler | None


def picture_seeds(seed: Seed, batch: int) -> list[int]:
    """One seed per picture: seed + i, or the given list."""
    if isinstance(seed, int):
        return [(seed + i) & MAX_SEED for i in range(batch)]
    if len(seed) != batch:
        raise InputError(f"a list of seeds needs one per picture ({batch}), got {len(seed)}")
    return [int(value) & MAX_SEED for value in seed]


def seeded_noise(seed: Seed, shape: torch.Size) -> tuple[Tensor, NoiseSampler]:
    """Start noise of `shape` [B, C, h, w], and a sampler that continues each picture's stream, both on the CPU.

    The numbers are the official script's, which calls `torch.manual_seed(seed)` and draws from the global stream.
    """
    generators = [torch.Generator().manual_seed(value) for value in picture_seeds(seed, shape[0])]

    def draw(*levels: Tensor) -> Tensor:
        return torch.stack([torch.randn(shape[1:], generator=generator) for generator in generators])

    return draw(), draw


def picture_noises(
    batch: int, seed: Seed, *, noise: Tensor | None = None, noise_sampler: NoiseSampler | None = None
) -> list[PictureNoise]:
    """The noise of each picture of a batch; a given sampler is asked once per step and repeats in every round.

    Args:
        batch: number of pictures.
        seed: as in `picture_seeds`.
        noise: start noise [B, C, h, w], or None.
        noise_sampler: (sigma, sigma_next) -> [B, C, h, w], or None.
    """
    if noise is not None and len(noise) != batch:
        raise InputError(f"noise needs one row per picture ({batch}), got {len(noise)}")
    shared = None if noise_sampler is None else replayed(noise_sampler)
    starts = [None] * batch if noise is None else noise.split(1)
    samplers = [None if shared is None else row_of(shared, i) for i in range(batch)]
    return [PictureNoise(*row) for row in zip(picture_seeds(seed, batch), starts, samplers, strict=True)]


def replayed(noise_sampler: NoiseSampler) -> NoiseSampler:
    """A sampler that asks once per pair of noise levels and gives the same tensor whenever the pair comes again."""
    drawn: dict[tuple[float, float], Tensor] = {}

    def replay(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        pair = (float(sigma), float(sigma_next))
        if pair not in drawn:
            drawn[pair] = noise_sampler(sigma, sigma_next)
        return drawn[pair]

    return replay


def row_of(noise_sampler: NoiseSampler, row: int) -> NoiseSampler:
    """One picture's share of a batch sampler."""
    return lambda sigma, sigma_next: noise_sampler(sigma, sigma_next)[row : row + 1]
