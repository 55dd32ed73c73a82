"""The bank of textures: 1/f spectra, streaks, clouds and man-made patterns."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

BANK_SIZE = 512
BANK_SEED = 20231010

# Texture bank: first spectra, then streaks (fur, grass, wood), then clouds, then man-made patterns.
SPECTRA, STREAKS, CLOUDS, PATTERNS = range(0, 14), range(14, 22), range(22, 26), range(26, 38)


@lru_cache(maxsize=1)
def texture_bank() -> np.ndarray:
    """Return textures of zero mean and unit variance [n, 512, 512], drawn from a constant seed."""
    rng = np.random.default_rng(BANK_SEED)
    bank = [spectrum(rng, slope, stretch=float(rng.uniform(1, 1.6))) for slope in np.linspace(0.5, 2.2, len(SPECTRA))]
    bank += [spectrum(rng, slope, stretch=8.0) for slope in np.linspace(0.6, 1.8, len(STREAKS))]
    bank += [spectrum(rng, slope, stretch=1.5) for slope in np.linspace(1.7, 2.5, len(CLOUDS))]
    bank += [pattern(rng, number) for number in range(len(PATTERNS))]
    return np.stack([(t - t.mean()) / t.std() for t in bank]).astype(np.float32)


def spectrum(rng: np.random.Generator, slope: float, *, stretch: float) -> np.ndarray:
    """Noise with amplitude spectrum 1 / f^slope, elongated along x, sparse enough to have structure."""
    fy, fx = np.fft.fftfreq(BANK_SIZE)[:, None], np.fft.rfftfreq(BANK_SIZE)[None]
    f = np.hypot(fy, fx * stretch)
    f[0, 0] = 1
    noise = rng.standard_normal((BANK_SIZE, BANK_SIZE))
    noise *= np.abs(noise) ** rng.uniform(0, 1.5)
    picture = np.fft.irfft2(np.fft.rfft2(noise) / f**slope)
    picture *= np.exp(0.5 * normalize(np.fft.irfft2(np.fft.rfft2(rng.standard_normal(picture.shape)) / f**1.5)))
    return np.clip(normalize(picture), -4, 4)


def normalize(values: np.ndarray) -> np.ndarray:
    """Shift and scale to zero mean and unit variance."""
    return (values - values.mean()) / values.std()


def pattern(rng: np.random.Generator, number: int) -> np.ndarray:
    """Stripes, bricks, tiles or weave of a period that divides the bank's size, lightly worn."""
    y, x = np.mgrid[:BANK_SIZE, :BANK_SIZE]
    period = 2 ** int(rng.integers(3, 7))
    row = y // (period // 2)
    edge = rng.uniform(0.08, 0.25)
    joint_x, joint_y = (x / period) % 1 < edge, (y / period) % 1 < edge
    stripes = ((x / period) % 1 < rng.uniform(0.2, 0.6)).astype(float)
    joints = ((x / period + 0.5 * (row % 2)) % 1 < edge) | ((2 * y / period) % 1 < 2 * edge)
    tones = rng.normal(0, 0.35, (BANK_SIZE * 2 // period + 1, BANK_SIZE // period + 1))
    bricks = tones[row, (x // period + (row % 2)) % tones.shape[1]] - 1.5 * joints
    tiles = tones[y // period, x // period] - 2.0 * (joint_x | joint_y)
    weave = np.sin(2 * np.pi * x / period) * np.sin(2 * np.pi * y / period)
    pattern = (stripes, bricks, tiles, weave)[number % 4]
    return normalize(pattern) + 0.25 * spectrum(rng, 1.2, stretch=1.0)
