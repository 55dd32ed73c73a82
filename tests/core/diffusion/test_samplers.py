"""Schedule, guidance and samplers against answers that are known without the official code."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.choices import SAMPLERS
from autodir_core.diffusion.guidance import branch_weights, denoiser, guided_denoiser
from autodir_core.diffusion.samplers import ancestral_step
from autodir_core.diffusion.schedule import alphas_cumprod, sigma_to_timestep, timestep_to_sigma


def ignore(*_):
    return None


def test_the_ends_of_the_schedule():
    levels = ad.sigmas(10)
    assert len(levels) == 11 and levels[-1] == 0
    assert levels[0].item() == pytest.approx(14.614643, abs=1e-5)
    assert levels[-2].item() == pytest.approx(0.02916754, abs=1e-7)
    assert (levels.diff() < 0).all()
    assert alphas_cumprod()[0].item() == pytest.approx(1 - 0.00085)


def test_one_step_starts_at_full_noise():
    assert ad.sigmas(1).tolist() == pytest.approx([14.614643, 0], abs=1e-5)


def test_fractional_timesteps_invert():
    t = torch.tensor([0.0, 0.25, 499.5, 749.25, 999.0])
    assert torch.allclose(sigma_to_timestep(timestep_to_sigma(t)), t, atol=2e-3)


@pytest.mark.parametrize("steps", [0, -3])
def test_no_steps_are_refused(steps):
    with pytest.raises(ad.InputError, match="steps must be 1 or more"):
        ad.sigmas(steps)
    with pytest.raises(ad.InputError, match="steps must be 1 or more"):
        ad.SamplerSettings(steps=steps)


def test_ancestral_step_keeps_the_variance():
    down, up = ancestral_step(torch.tensor(3.0), torch.tensor(2.0))
    assert (down**2 + up**2).item() == pytest.approx(4.0)
    assert up.item() == pytest.approx((4 * (9 - 4) / 9) ** 0.5)
    assert [value.item() for value in ancestral_step(torch.tensor(3.0), torch.tensor(0.0))] == [0.0, 0.0]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_constant_denoiser_is_reached(name):
    """Whatever the noise, a model that always answers the same picture ends at that picture."""
    target, levels = torch.randn(2, 4, 3, 3), ad.sigmas(7)
    seen = []
    out = SAMPLERS.load(name)(
        lambda x, sigma: target,
        torch.randn(2, 4, 3, 3) * levels[0],
        levels,
        noise=lambda *pair: torch.randn(2, 4, 3, 3),
        on_step=lambda step, estimate: seen.append(step),
    )
    assert torch.allclose(out, target, atol=1e-5)
    assert seen == list(range(7))


@pytest.mark.parametrize(("name", "tolerance"), [("euler", 0.06), ("dpmpp_2m", 0.02)])
def test_the_spread_of_gaussian_data(name, tolerance):
    """For data N(0, 1) the exact denoiser is x / (1 + sigma^2) and the flow scales x by sqrt(1 / (1 + sigma_0^2))."""
    levels, x = ad.sigmas(50), torch.ones(1, 1, 1, 1)
    out = SAMPLERS.load(name)(lambda x, s: x / (1 + s**2), x, levels, noise=ignore, on_step=ignore)
    exact = (1 / (1 + levels[0] ** 2)) ** 0.5
    assert out.item() == pytest.approx(exact.item(), rel=tolerance)


def test_euler_ancestral_spreads_like_the_data():
    generator = torch.Generator().manual_seed(0)
    levels = ad.sigmas(60)
    draw = lambda *pair: torch.randn(1, 1, 100, 100, generator=generator)  # noqa: E731
    out = SAMPLERS.load("euler_ancestral")(
        lambda x, s: x / (1 + s**2), draw() * levels[0], levels, noise=draw, on_step=ignore
    )
    assert out.std().item() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("text", "image", "weights"),
    [
        (1, 1, {"full": 1}),
        (3, 1, {"full": 3, "image": -2}),
        (2, 2, {"full": 2, "none": -1}),
        (7.5, 1.5, {"full": 7.5, "image": -6, "none": -0.5}),
        (0, 1, {"image": 1}),
        (0, 0, {"none": 1}),
    ],
)
def test_only_the_branches_that_count(text, image, weights):
    assert branch_weights(text, image) == weights
    assert sum(weights.values()) == 1


def test_guidance_sees_the_right_conditions():
    """A network that answers with the sum of what it is told shows which branch was given what."""
    batches = []

    def predict(x, t, condition, text):
        batches.append(len(x))
        return condition + text.mean(dim=(1, 2)).view(-1, 1, 1, 1)

    condition, text, null = torch.full((1, 1, 1, 1), 10.0), torch.full((1, 2, 2), 100.0), torch.full((1, 2, 2), 1.0)
    denoise = guided_denoiser(predict, condition, text, null_text=null, weights=branch_weights(7.5, 1.5))
    x, sigma = torch.zeros(1, 1, 1, 1), torch.tensor(1.0)
    full, image, none = 110.0, 11.0, 1.0
    assert denoise(x, sigma).item() == pytest.approx(-(none + 7.5 * (full - image) + 1.5 * (image - none)))
    assert batches == [3]


def test_the_empty_prompt_is_repeated_to_the_length_of_joined_texts():
    """Each branch answers with its text: 4 tokens of joined texts, 2 of the empty prompt."""
    told = []

    def predict(x, t, condition, text):
        told.append(text[..., 0])
        return x

    x, text, null = torch.zeros(1, 1, 1, 1), torch.arange(4.0).view(1, 4, 1), torch.tensor([8.0, 9.0]).view(1, 2, 1)
    for guidance in (7.5, 1.0):
        guided_denoiser(predict, x, text, null_text=null, weights=branch_weights(guidance, 1.0))(x, torch.tensor(1.0))
    assert told[0].tolist() == [[0, 1, 2, 3], [8, 9, 8, 9]]
    assert told[1].tolist() == [[0, 1, 2, 3]]


def test_the_denoiser_scales_its_input():
    calls = []
    denoise = denoiser(lambda x, t, c, e: calls.append((x, t)) or torch.ones_like(x), torch.zeros(1), torch.zeros(1))
    sigma = ad.sigmas(3)[1]
    out = denoise(torch.full((2, 1, 1, 1), 5.0), sigma)
    assert calls[0][0].flatten().tolist() == pytest.approx([5 / (sigma.item() ** 2 + 1) ** 0.5] * 2)
    assert calls[0][1].tolist() == pytest.approx([499.5, 499.5], abs=1e-2)
    assert out.flatten().tolist() == pytest.approx([5 - sigma.item()] * 2)
