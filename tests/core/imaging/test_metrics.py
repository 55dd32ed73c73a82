"""Metrics against known values and other implementations."""

from __future__ import annotations

import importlib.machinery
import sys
import types

import numpy as np
import pytest
import torch

import autodir_core as ad
from autodir_core.imaging.metrics import load_lpips, luminance, psnr, ssim
from autodir_core.optional_imports import is_installed


def random_image(seed: int, size: int = 64) -> torch.Tensor:
    return torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(seed))


def test_psnr():
    reference = torch.full((1, 4, 4, 3), 0.5)
    assert psnr(reference + 0.1, reference) == pytest.approx(20.0, abs=1e-4)
    assert psnr(reference, reference) == 100
    clamped = psnr(torch.ones_like(reference), reference)
    assert psnr(reference + 5, reference) == pytest.approx(clamped), "clamped as a file would be"


def test_ssim_agrees_with_scikit_image():
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    reference, noisy = random_image(0), (random_image(0) + 0.2 * random_image(1)).clamp(0, 1)
    expected = metrics.structural_similarity(
        reference[0].double().numpy(),
        noisy[0].double().numpy(),
        channel_axis=-1,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(noisy, reference) == pytest.approx(expected, abs=2e-3)
    assert ssim(reference, reference) == pytest.approx(1.0)


def test_sizes_must_agree():
    with pytest.raises(ad.InputError, match="one shape"):
        psnr(random_image(0), random_image(0, 32))


def test_luminance_agrees_with_scikit_image():
    color = pytest.importorskip("skimage.color", reason="scikit-image is not installed")
    expected = color.rgb2ycbcr(random_image(0)[0].double().numpy())[..., 0] / 255
    assert np.allclose(luminance(random_image(0))[0, ..., 0].numpy(), expected, atol=1e-6)
    assert luminance(torch.ones(1, 1, 1, 3)).item() == pytest.approx(235 / 255)


def test_lpips_gets_images_in_minus_one_to_one(monkeypatch):
    class Network(torch.nn.Module):
        def forward(self, one, other):
            assert one.shape == (1, 3, 2, 5) and one.min() >= -1
            return (one - other).abs().mean().view(1, 1, 1, 1)

    package = types.ModuleType("lpips")
    package.__spec__ = importlib.machinery.ModuleSpec("lpips", None)
    package.LPIPS = lambda net, verbose: Network()
    monkeypatch.setitem(sys.modules, "lpips", package)
    dark, bright = torch.full((1, 2, 5, 3), 0.25), torch.full((1, 2, 5, 3), 0.35)
    assert is_installed("lpips")
    assert load_lpips(torch.device("cpu"))(dark, bright) == pytest.approx(0.2, abs=1e-6)


def test_without_lpips_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ad.AutoDIRError, match="pip install lpips, or give --no-lpips"):
        load_lpips(torch.device("cpu"))
