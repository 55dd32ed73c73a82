"""Classical methods on images with known results."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autodir_core.imaging.metrics import psnr
from autodir_core.labels import CLEAN, LABELS

pytest.importorskip("cv2", reason="opencv-python-headless is not installed")

from autodir_lab.evaluation import baselines


def flat(value: float, side: int = 64) -> np.ndarray:
    return np.full((side, side, 3), value, np.float32)


def noisy(sigma: float) -> np.ndarray:
    return flat(0.5) + sigma * np.random.default_rng(0).standard_normal((64, 64, 3)).astype(np.float32)


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels))[None]


def test_every_degradation_has_a_method_that_keeps_the_shape_and_the_input():
    image = torch.rand(1, 40, 56, 3, generator=torch.Generator().manual_seed(0))
    before = image.clone()
    for label in set(LABELS) - {CLEAN}:
        results = baselines.apply_baselines(image, label)
        assert results
        for result in results.values():
            assert result.shape == image.shape and result.dtype == torch.float32
            assert result.min() >= 0 and result.max() <= 1
    assert torch.equal(image, before)
    assert baselines.apply_baselines(image, "no") == {}


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_the_noise_is_estimated(sigma):
    assert baselines.estimate_noise(noisy(sigma)) == pytest.approx(sigma, rel=0.05)


def test_non_local_means_takes_most_of_the_noise_from_a_flat_picture():
    dirty = noisy(0.08)
    before, after = (psnr(tensor(x), tensor(flat(0.5))) for x in (dirty, baselines.non_local_means(dirty)))
    assert after > before + 8


def test_the_median_removes_a_speck_and_the_mean_would_not():
    speck = flat(0.2)
    speck[30, 30] = 1
    assert np.allclose(baselines.median_filter(speck), 51 / 255)


def test_unsharp_mask_of_a_step_overshoots_on_both_sides_and_keeps_the_sum():
    step = np.repeat(np.where(np.arange(64) < 32, 0.3, 0.7).astype(np.float32)[None, :, None], 64, 0).repeat(3, 2)
    sharp = baselines.unsharp_mask(step)
    # The pixels next to the step lose and gain what a Gaussian of sigma 1 takes over half a pixel: 0.4 * 0.31.
    assert sharp[5, 31, 0] == pytest.approx(0.3 - 0.4 * 0.31, abs=0.01)
    assert sharp[5, 32, 0] == pytest.approx(0.7 + 0.4 * 0.31, abs=0.01)
    assert sharp.mean() == pytest.approx(step.mean(), abs=1e-5)


def test_gamma_takes_the_mean_to_one_half():
    assert np.allclose(baselines.gamma_correction(flat(0.25)), 0.5, atol=1e-5)


def test_clahe_widens_the_contrast_of_a_dark_picture():
    dark = np.random.default_rng(0).uniform(0.05, 0.15, (64, 64, 1)).astype(np.float32).repeat(3, 2)
    assert baselines.clahe(dark).std() > 1.3 * dark.std()


def test_the_guided_filter_keeps_constants_and_strong_edges():
    constant = flat(0.3)[..., 0]
    edge = np.where(np.arange(64) < 32, 0.0, 1.0).astype(np.float32)[None].repeat(64, 0)
    assert np.allclose(baselines.guided_filter(constant, edge), 0.3, atol=1e-4)
    assert np.abs(baselines.guided_filter(edge, edge) - edge).max() < 0.02


def test_dark_channel_inverts_koschmieders_law():
    """On a scene with a dark color in every patch and some sky, as its prior has it."""
    scene = np.random.default_rng(0).uniform(0, 1, (96, 96, 3)).astype(np.float32)
    scene[..., 0] *= np.random.default_rng(1).uniform(0, 1, (96, 96)) > 0.3
    air, transmission = np.float32(0.9), np.float32(0.5)
    scene[:20] = air
    hazy = scene * transmission + air * (1 - transmission)
    restored = np.clip(baselines.dehaze_dark_channel(hazy), 0, 1)
    assert psnr(tensor(restored[40:]), tensor(scene[40:])) > psnr(tensor(hazy[40:]), tensor(scene[40:])) + 10
