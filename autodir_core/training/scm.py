"""Trains the structure correction on what the shipped autoencoder and diffusion really give (paper section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..images import from_network, to_network
from ..labels import LABELS
from ..model import AutoDIR
from ..records import SamplerSettings
from ..schedule import TIMESTEPS, alphas_cumprod
from .data import Batch, draw_batch
from .loop import Losses, Objective
from .losses import charbonnier_loss, noised, predicted_start, psnr_loss


@dataclass(frozen=True)
class SCMPlan:
    """What a step of the correction's training sees.

    Args:
        batch: crops per step.
        size: side of the crops in pixels.
        sampled: share of the steps whose generated pictures are sampled in a few steps; the others take the estimate
            from a random timestep, as the official training does.
        sampling_steps: steps of such a sampling.
        clean_share: share of clean crops, whose correction is the crop itself.
        mislabelled: share of crops whose diffusion is told another label, as a wrong assessment would.
        again: share of the steps that begin with what the correction itself gave, as the loop's later rounds do.
    """

    batch: int = 12
    size: int = 96
    sampled: float = 0.25
    sampling_steps: int = 6
    clean_share: float = 0.1
    mislabelled: float = 0.15
    again: float = 0.2


def scm_objective(model: AutoDIR, scenes: np.ndarray, plan: SCMPlan) -> Objective:
    """Squared error of the corrected picture in decibels, and its absolute error."""
    texts = model.prompts(model.labels).states.clone()
    scm = model.networks.scm

    def objective(step: int, rng: np.random.Generator) -> Losses:
        batch = draw_batch(scenes, plan.batch, rng, size=plan.size, clean_share=plan.clean_share)
        batch = replace(batch, labels=mislabelled(batch.labels, rng, plan.mislabelled))
        generated = generate(model, batch, texts, rng, plan).clone()
        if rng.random() < plan.again:
            with torch.no_grad():
                restored = from_network(scm(to_network(batch.degraded), to_network(generated)).float())
            batch = replace(batch, degraded=restored, labels=mislabelled(batch.labels, rng, 1.0))
            generated = generate(model, batch, texts, rng, plan).clone()
        corrected = scm(to_network(batch.degraded), to_network(generated))
        truth = to_network(batch.clean)
        return {"psnr": psnr_loss(corrected, truth), "charbonnier": charbonnier_loss(corrected, truth)}

    return objective


def mislabelled(labels: Tensor, rng: np.random.Generator, share: float) -> Tensor:
    """The labels [B], a share of them replaced by any of them at random."""
    other = torch.from_numpy(rng.integers(0, len(LABELS), len(labels)))
    return torch.where(torch.from_numpy(rng.random(len(labels)) < share), other, labels)


def generate(model: AutoDIR, batch: Batch, texts: Tensor, rng: np.random.Generator, plan: SCMPlan) -> Tensor:
    """Pictures [B, S, S, 3] such as the diffusion gives them for a batch, without gradients."""
    with torch.no_grad():
        text = texts[batch.labels]
        c = model.encode(batch.degraded).clone()
        if rng.random() < plan.sampled:
            settings = SamplerSettings(steps=plan.sampling_steps, sampler=str(rng.choice(["euler", "euler_ancestral"])))
            return model.decode(model.sample(c, text, settings, seed=int(rng.integers(2**31))))
        t = torch.from_numpy(rng.integers(0, TIMESTEPS, len(c)))
        signal = alphas_cumprod()[t]
        target = model.encode(batch.clean) * model.traits.latent_scale
        x = noised(target, torch.randn_like(target), signal)
        estimate = predicted_start(x, model.predict_noise(x, t, c, text), signal)
        return model.decode(estimate.clamp(-4, 4))
