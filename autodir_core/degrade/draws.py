"""Random parameters: every number a degradation uses is drawn here, on the CPU, from a seed and a label."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ..imaging.filters import resample

T = TypeVar("T")

BAND = 0.12
"""Half width of the natural variety around a severity, in units of severity."""


def between(severity: float, anchors: tuple[float, float, float]) -> float:
    """Interpolate linearly through the `anchors` at severity 0, 0.5 and 1."""
    mild, medium, severe = anchors
    if severity < 0.5:
        return mild + (medium - mild) * 2 * severity
    return medium + (severe - medium) * (2 * severity - 1)


class Draw:
    """A stream of random numbers for one picture and one label; the same pair gives the same stream on every device."""

    def __init__(self, seed: int, label: str) -> None:
        digest = hashlib.blake2b(f"{seed} {label}".encode(), digest_size=8).digest()
        self._generator = torch.Generator().manual_seed(int.from_bytes(digest, "big", signed=True))

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=self._generator).item()

    def log_uniform(self, low: float, high: float) -> float:
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, probability: float) -> bool:
        return self.uniform(0.0, 1.0) < probability

    def integer(self, low: int, high: int) -> int:
        """Draw a whole number from `low` to `high`, both included."""
        return int(torch.randint(low, high + 1, (), generator=self._generator).item())

    def choice(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """Draw one of `options` in proportion to `weights`, all alike without any."""
        probabilities = torch.tensor(weights or [1.0] * len(options), dtype=torch.float32)
        index = torch.multinomial(probabilities, 1, generator=self._generator)
        return options[int(index.item())]

    def level(self, severity: float, anchors: tuple[float, float, float]) -> float:
        """Draw a parameter: `between` the anchors, at a severity within `BAND` of the given one."""
        return between(min(max(severity + self.uniform(-BAND, BAND), 0.0), 1.0), anchors)

    def log_level(self, severity: float, mild: float, severe: float) -> float:
        """Draw a parameter from `mild` at severity 0 to `severe` at 1, geometrically, within `BAND` of it."""
        return mild * (severe / mild) ** min(max(severity + self.uniform(-BAND, BAND), 0.0), 1.0)

    def smooth_field(self, size: tuple[int, int], cells: int) -> Tensor:
        """Draw a smooth field [H, W] in 0..1 through `cells` random values along each side."""
        return resample(self.rand(1, cells, cells), size, kernel="cubic")[0].clamp(0.0, 1.0)

    def turbulence(self, size: tuple[int, int], slope: float) -> Tensor:
        """Draw a fractal field [H, W] of mean 0 and variance 1 whose amplitude falls as 1 / frequency^slope."""
        spectrum = torch.fft.rfft2(self.normal(*size))
        y, x = torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])
        radius = torch.hypot(y, x).clamp_min(1 / max(size))
        field = torch.fft.irfft2(spectrum * radius**-slope, s=size)
        return (field - field.mean()) / field.std().clamp_min(1e-6)

    def rand(self, *shape: int) -> Tensor:
        """Draw uniform numbers in 0..1 on the CPU."""
        return torch.rand(shape, generator=self._generator)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers on the CPU."""
        return torch.randn(shape, generator=self._generator)

    def poisson(self, rates: Tensor) -> Tensor:
        """Draw a Poisson count for each rate, on the CPU."""
        return torch.poisson(rates.cpu(), generator=self._generator)
