"""Trains the structure correction on what the shipped autoencoder and diffusion really give (paper section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autodir_core.diffusion.schedule import TIMESTEPS, alphas_cumprod
from autodir_core.imaging.layout import from_network, to_network
from autodir_core.model import AutoDIR
from autodir_core.settings import SamplerSettings

from ..data.crops import Batch, Crops, Data, draw_batch
from ..data.microbatch import MicroBatch
from ..engine.loop import Losses, Objective
from .label_mixing import told
from .losses import charbonnier_loss, correction_loss, noised, predicted_start, psnr_loss


@dataclass(frozen=True)
class SCMPlan:
    """What a step of the correction's training sees.

    Args:
        crops: how crops are drawn; the correction of a clean one is the crop itself.
        sampled: share of the steps whose generated pictures are sampled in a few steps.
        blind: share of the steps that take the estimate out of noise alone, which sampling begins with. All others
            take it from a random timestep, as the official training does: there the noisy latent shows the ground
            truth's brightness and colours, and the correction learns to trust a generated picture too much.
        sampling_steps: steps of such a sampling.
        mislabelled: share of crops whose diffusion is told another label, as a wrong assessment would.
        blended: share of crops whose diffusion is told a blend of two labels, see `told`.
        again: share of the steps that begin with what the correction itself gave, as the loop's later rounds do.
        mse: weight of the official loss.
        psnr: weight of the same error in decibels.
        charbonnier: weight of the absolute error.
    """

    crops: Crops = Crops(256, clean_share=0.1)
    sampled: float = 0.0
    blind: float = 0.0
    sampling_steps: int = 6
    mislabelled: float = 0.0
    blended: float = 0.0
    again: float = 0.0
    mse: float = 1.0
    psnr: float = 0.0
    charbonnier: float = 0.0


def scm_objective(model: AutoDIR, data: Data, plan: SCMPlan) -> Objective:
    """The error of the corrected picture, where the autoencoder and the diffusion generate what it corrects."""
    texts = model.prompts(model.labels).states.clone()
    scm = model.networks.scm

    def objective(micro: MicroBatch) -> Losses:
        batch = draw_batch(data, micro, plan.crops).to(model.device)
        batch = replace(batch, labels=mislabelled(batch.labels, len(texts), micro, plan.mislabelled))
        generated = generate(model, batch, texts, micro, plan)
        if micro.step_rng("again").random() < plan.again:
            with torch.no_grad():
                restored = from_network(scm(to_network(batch.degraded), to_network(generated)).float())
            labels = micro.integers("other labels", len(texts)).to(model.device)
            batch = replace(batch, degraded=restored, labels=labels)
            generated = generate(model, batch, texts, other_noise(micro), plan)
        corrected = scm(to_network(batch.degraded), to_network(generated))
        losses = correction_losses(corrected, to_network(batch.clean), plan)
        return {name: micro.weight * loss for name, loss in losses.items()}

    return objective


def correction_losses(corrected: Tensor, truth: Tensor, plan: SCMPlan) -> Losses:
    """The weighted losses of the plan, [B, 3, H, W] each picture."""
    weighted = {
        "mse": (plan.mse, correction_loss),
        "psnr": (plan.psnr, psnr_loss),
        "charbonnier": (plan.charbonnier, charbonnier_loss),
    }
    return {name: weight * loss(corrected, truth) for name, (weight, loss) in weighted.items() if weight}


def other_noise(micro: MicroBatch) -> MicroBatch:
    """The same pictures with other random numbers."""
    return replace(micro, seed=micro.seed + 1)


def mislabelled(labels: Tensor, count: int, micro: MicroBatch, share: float) -> Tensor:
    """The labels [B], a share of them replaced by any of `count` at random."""
    other = micro.integers("wrong labels", count).to(labels)
    return torch.where(micro.uniform("mislabelled").to(labels.device) < share, other, labels)


def generate(model: AutoDIR, batch: Batch, texts: Tensor, micro: MicroBatch, plan: SCMPlan) -> Tensor:
    """Pictures [B, S, S, 3] such as the diffusion gives them for a batch, without gradients."""
    with torch.no_grad():
        text = told(texts, batch.labels, micro, plan.blended)
        c = model.encode(batch.degraded).clone()
        rng, size = micro.step_rng("generate"), (batch.clean.shape[1], batch.clean.shape[2])
        lot = rng.random()
        if lot < plan.sampled:
            settings = SamplerSettings(steps=plan.sampling_steps, sampler=str(rng.choice(["euler", "euler_ancestral"])))
            z = model.sample(c, text, settings, seed=micro.integers("sampling", 2**31).tolist())
            return model.decode(z, size).clone()
        blind = lot < plan.sampled + plan.blind
        t = last_timesteps(micro) if blind else micro.integers("timesteps", TIMESTEPS)
        signal = alphas_cumprod()[t].to(model.device)
        noise = micro.noise("noise", tuple(c.shape[1:])).to(c)
        x = noise if blind else noised(model.encode(batch.clean) * model.metadata.latent_scale, noise, signal)
        estimate = predicted_start(x, model.predict_noise(x, t.to(model.device), c, text), signal)
        return model.decode(estimate.clamp(-4, 4), size).clone()


def last_timesteps(micro: MicroBatch) -> Tensor:
    """The timestep at which sampling begins, int64 [n]."""
    return torch.full((len(micro.indices),), TIMESTEPS - 1)
