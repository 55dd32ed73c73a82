"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from autodir_core.diffusion.schedule import alphas_cumprod
from autodir_lab.training.objectives.losses import (
    add_noise,
    charbonnier_loss,
    fidelity_loss,
    implied_noise,
    kl_loss,
    noise_loss,
    predict_x0,
    psnr_loss,
    semantic_agnostic_loss,
)


def test_fidelity():
    """Row one overlaps sqrt(0.25) = 0.5, row two 1; L = 2: ((1 - 0.5) + 0) / 2 / 2."""
    probabilities = torch.tensor([[0.25, 0.75], [0.0, 1.0]])
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert fidelity_loss(probabilities, target).item() == pytest.approx(0.125, abs=1e-4)


def test_fidelity_of_the_right_answer_is_nothing():
    assert fidelity_loss(torch.eye(8), torch.eye(8)).item() == pytest.approx(0, abs=2e-4)


def test_semantic_agnostic():
    """1 - sqrt(1 - 0.36) = 0.2 and 1 - sqrt(1 - 0) = 0."""
    probabilities = torch.tensor([[0.36, 0.64], [0.0, 1.0]])
    assert semantic_agnostic_loss(probabilities, torch.tensor([0, 0])).item() == pytest.approx(0.1, abs=1e-4)


def test_noise():
    a, b = torch.zeros(2, 1, 1, 2), torch.tensor([1.0, 3.0]).expand(2, 1, 1, 2)
    assert noise_loss(a, b).item() == 5.0


def test_weighted_noise():
    """Errors 1 and 9 counted three times and once, over two values."""
    a, b = torch.zeros(2, 1, 1, 1), torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    assert noise_loss(a, b, torch.tensor([3.0, 1.0])).item() == pytest.approx((3 + 9) / 2)


def test_decibels_count_the_same_wherever_a_picture_stands():
    target, half = torch.zeros(2, 3, 4, 4), torch.tensor([1.0, 0.1]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert psnr_loss(half, target, floor=0).item() == pytest.approx(-1.0)
    better = half * torch.tensor([1.0, 0.1]).view(2, 1, 1, 1)
    assert psnr_loss(half, target, floor=0) - psnr_loss(better, target, floor=0) == pytest.approx(1.0)


def test_charbonnier():
    assert charbonnier_loss(torch.zeros(1), torch.full((1,), 3.0), epsilon=4.0).item() == pytest.approx(5.0)


def test_kl():
    assert kl_loss(torch.zeros(1), torch.zeros(1)).item() == 0
    assert kl_loss(torch.tensor([2.0]), torch.tensor([math.log(3)])).item() == pytest.approx(
        (4 + 3 - 1 - math.log(3)) / 2
    )


def test_noising_and_back():
    signal = alphas_cumprod()[torch.tensor([0, 500, 999])]
    latent, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    x = add_noise(latent, noise, signal)
    assert torch.allclose(x[1], signal[1].sqrt() * latent[1] + (1 - signal[1]).sqrt() * noise[1])
    assert torch.allclose(predict_x0(x, noise, signal), latent, atol=1e-4)


def test_the_noise_that_makes_a_latent_of_anything():
    """Of noise that a latent was hidden in it is that noise; of any other x what leads to the latent all the same."""
    signal = alphas_cumprod()[torch.tensor([100, 500, 999])]
    latent, noise, x = torch.randn(3, 3, 4, 2, 2)
    assert torch.allclose(implied_noise(add_noise(latent, noise, signal), latent, signal), noise, atol=1e-5)
    assert torch.allclose(predict_x0(x, implied_noise(x, latent, signal), signal), latent, atol=1e-4)
