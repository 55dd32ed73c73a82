"""The paper's figure 2 in code: assess, condition, diffuse, correct, and again until nothing is left to restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .diffusion.noise import PictureNoise, Seed, picture_noises, picture_seeds
from .diffusion.samplers import NoiseSampler
from .imaging.layout import check_finite, check_images, crop, from_network, to_network
from .labels import check_labels
from .loop_policy import LoopState
from .model import AutoDIR
from .outputs import Restoration, Round, merge_restorations
from .settings import LoopSettings, SamplerSettings, settings_or_default
from .stages.correction import lerp_correction, scm_weight


@dataclass(frozen=True)
class Progress:
    """Where a restoration is: picture and round count from 0, the finished steps of this round from 1."""

    picture: int
    round: int
    step: int
    steps: int


OnStep = Callable[[Progress, Tensor], None]
OnRound = Callable[[int, Round], None]


def restore(
    model: AutoDIR,
    images: Tensor,
    loop: LoopSettings | None = None,
    sampler: SamplerSettings | None = None,
    *,
    seed: Seed = 0,
    noise: Tensor | None = None,
    noise_sampler: NoiseSampler | None = None,
    on_step: OnStep | None = None,
    on_round: OnRound | None = None,
) -> Restoration:
    """Restore pictures of unknown degradation, one degradation per round (paper figure 2, official `sample` script).

    Args:
        model: from `load_autodir`.
        images: [B, H, W, 3], 0..1, values outside allowed, any size. Each picture is restored by itself.
        loop: rounds, labels or a custom prompt; None is the paper's way.
        sampler: how the diffusion runs; None is the paper's way.
        seed, noise, noise_sampler: as in `AutoDIR.sample`; the noise repeats in every round.
        on_step: called with the progress and the estimate [1, C, h, w] after each network evaluation.
        on_round: called with the picture's number and the round's outcome when a round is done.

    Raises InputError for pictures, labels or settings that cannot be used.
    """
    images = check_images(images)
    loop = settings_or_default(loop, LoopSettings, "loop")
    sampler = settings_or_default(sampler, SamplerSettings, "sampler")
    noises = picture_noises(len(images), seed, noise=noise, noise_sampler=noise_sampler)
    runners = [RoundRunner(model, loop, sampler, i, row, on_step, on_round) for i, row in enumerate(noises)]
    run = run_prompt if loop.prompt is not None else run_loop
    return merge_restorations([run(runner, image) for runner, image in zip(runners, images.split(1), strict=True)])


@torch.no_grad()  # not inference_mode: whoever gets the pictures may write to them or train with them
def run_loop(runner: RoundRunner, image: Tensor) -> Restoration:
    """Restore one picture [1, H, W, 3]: the assessment names a degradation, a round removes it, until one stops."""
    model, loop = runner.model, runner.loop
    labels = check_labels(model.labels if loop.labels is None else loop.labels, model.labels)
    state = LoopState.start(image, labels)
    while state.stop_reason(loop.max_rounds) is None:
        assessment = model.assess(state.image, state.remaining, loop.crops)
        state = state.apply_assessment(assessment).apply_confidence(loop.min_confidence)
        if state.label is not None:
            state = runner.run(state, assessment.embedding)
    done = state.restoration(loop.max_rounds)
    return done if done.rounds else replace(done, image=image.clone())  # never the caller's own memory


@torch.no_grad()
def run_prompt(runner: RoundRunner, image: Tensor) -> Restoration:
    """Restore one picture [1, H, W, 3] in one round with the custom prompt and no assessment."""
    state = runner.run(LoopState.start(image, ()), runner.model.embed_text([runner.loop.prompt or ""]))
    return Restoration(state.image, list(state.rounds), ("prompt",))


def sample_each(
    model: AutoDIR,
    images: Tensor,
    text_embedding: Tensor,
    sampler: SamplerSettings | None = None,
    *,
    seed: Seed = 0,
    on_step: OnStep | None = None,
) -> Tensor:
    """Draw the restored latents [B, C, h, w] of a batch, one picture at a time as `restore` does.

    A batch needs no more memory than one picture, and each gives the bits that it gives alone.

    Args:
        model: from `load_autodir`.
        images: [B, H, W, 3], 0..1.
        text_embedding: [B, T, D].
        sampler: None is the paper's way.
        seed: as in `AutoDIR.sample`.
        on_step: called with the progress and the estimate [1, C, h, w] after each network evaluation.
    """
    sampler = sampler or SamplerSettings()

    def sample_one(picture: int, picture_seed: int) -> Tensor:
        row = slice(picture, picture + 1)

        def notify(step: int, estimate: Tensor) -> None:
            if on_step:
                on_step(Progress(picture, 0, step + 1, sampler.steps), estimate)

        latent = model.encode(images[row])
        return model.sample(latent, text_embedding[row], sampler, seed=picture_seed, on_step=notify)

    return torch.cat([sample_one(*pair) for pair in enumerate(picture_seeds(seed, len(images)))])


@dataclass(frozen=True)
class RoundRunner:
    """What stays the same in every round of one picture: model, settings, noise, and who watches."""

    model: AutoDIR
    loop: LoopSettings
    sampler: SamplerSettings
    picture: int
    noise: PictureNoise
    on_step: OnStep | None
    on_round: OnRound | None

    def run(self, state: LoopState, embedding: Tensor) -> LoopState:
        """Remove the degradation that `state` names: encode, sample, decode, correct."""
        model, number = self.model, len(state.rounds)
        degraded = model.network_input(state.image)
        latent = model.sample(
            model.encode_pixels(degraded),
            embedding,
            self.sampler,
            seed=self.noise.seed,
            noise=self.noise.initial,
            noise_sampler=self.noise.sampler,
            on_step=lambda step, estimate: self.notify_step(number, step, estimate),
        )
        generated = crop(from_network(model.decode_pixels(latent)), *degraded.shape[-2:]).contiguous()
        # rounded as the single methods and nodes hand it on, so that they all give one result
        corrected = from_network(model.correct_pixels(degraded, to_network(generated)))
        check_finite(corrected, f"the picture of round {number + 1}")
        generated, corrected = generated.to(state.image.device), corrected.to(state.image.device)
        weight = scm_weight(state.label, model.metadata.scm_weight, self.loop.scm_weight)
        image = lerp_correction(generated, corrected, weight)
        probabilities = None if state.assessment is None else state.assessment.probabilities
        done = Round((state.label,), probabilities, generated, corrected, image)
        if self.on_round:
            self.on_round(self.picture, done)
        return state.apply_round(done, image)

    def notify_step(self, number: int, step: int, estimate: Tensor) -> None:
        if self.on_step:
            self.on_step(Progress(self.picture, number, step + 1, self.sampler.steps), estimate)
