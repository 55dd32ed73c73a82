"""The paper's figure 2 in code: assess, condition, diffuse, correct, and again until nothing is left to restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .diffusion.noise import MAX_SEED, PictureNoise, Seed, picture_noises
from .diffusion.samplers import NoiseSampler
from .imaging.filters import resize
from .imaging.guided import transfer_change
from .imaging.layout import check_finite, check_images
from .imaging.mask import apply_mask
from .labels import check_labels
from .loop_policy import LoopState, choose_example, merge_restorations, scale_round
from .model import AutoDIR
from .outputs import (
    Callbacks,
    Decision,
    OnRound,
    OnStage,
    OnStep,
    OnTile,
    PlannedRound,
    Progress,
    Restoration,
    Round,
    StageProgress,
)
from .settings import LoopSettings, SamplerSettings, settings_or_default
from .stages.biqa import damage_mask
from .stages.conditioning import blend
from .stages.correction import lerp_correction, scm_weight
from .stages.quality_gate import QualityGate
from .tiling.sizes import WHOLE_PIXELS

REDUCED_FROM_PIXELS = 2 * WHOLE_PIXELS
"""Pixels above which the labels in `LoopSettings.reduced_labels` are restored on a reduced copy."""

CANDIDATE_STRIDE = 1_000_003
"""Between the seeds of candidates, so that they are not those of a batch's next pictures."""


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
    on_stage: OnStage | None = None,
) -> Restoration:
    """Restore pictures of unknown degradation, one degradation per round (paper figure 2, official `sample` script).

    Args:
        model: from `load_autodir`.
        images: [B, H, W, 3], 0..1, values outside allowed, any size. Each picture is restored by itself.
        loop: rounds, labels or a custom prompt; None is the paper's way.
        sampler: how the diffusion runs; None is the paper's way.
        seed, noise, noise_sampler: as in `AutoDIR.sample`; the noise repeats in every round.
        on_step, on_round, on_stage: see `Callbacks`.

    Raises InputError for pictures, labels or settings that cannot be used.
    """
    images = check_images(images)
    loop = settings_or_default(loop, LoopSettings, "loop")
    sampler = settings_or_default(sampler, SamplerSettings, "sampler")
    noises = picture_noises(len(images), seed, noise=noise, noise_sampler=noise_sampler)
    callbacks = Callbacks(on_step, on_round, on_stage)
    runners = [RoundRunner(model, loop, sampler, i, row, callbacks) for i, row in enumerate(noises)]
    run = run_prompt if loop.prompt is not None else run_loop
    return merge_restorations([run(runner, image) for runner, image in zip(runners, images.split(1), strict=True)])


@torch.no_grad()  # not inference_mode: whoever gets the pictures may write to them or train with them
def run_loop(runner: RoundRunner, image: Tensor) -> Restoration:
    """Restore one picture [1, H, W, 3]: the assessment names a degradation, a round removes it, until one stops."""
    model, loop = runner.model, runner.loop
    labels = check_labels(model.labels if loop.labels is None else loop.labels, model.labels)
    gate = QualityGate.of(model, labels, loop.crops) if loop.gate else None
    state = LoopState.start(image, labels)
    while state.stop_reason(loop.max_rounds) is None:
        report = runner.reporter("assess", len(state.rounds))
        report(0, 1)
        assessment = model.assess(state.image, state.remaining, loop.crops)
        report(1, 1)
        overall = gate.overall(state.image, state.remaining) if gate else None
        state = state.apply_assessment(assessment, overall, loop.order)
        state = state.apply_confidence(loop.min_confidence, gate.thresholds if gate else None)
        if state.label is not None:
            state = runner.run(state, assessment.embedding, gate)
    return runner.finish(image, state.restoration(loop.max_rounds))


@torch.no_grad()
def run_prompt(runner: RoundRunner, image: Tensor) -> Restoration:
    """Restore one picture [1, H, W, 3] in one round with the custom prompt and no assessment."""
    state = runner.run(LoopState.start(image, ()), runner.model.embed_text([runner.loop.prompt or ""]))
    return runner.finish(image, Restoration(state.image, list(state.rounds), ("prompt",)))


def decide(
    model: AutoDIR,
    images: Sequence[Tensor],
    loop: LoopSettings,
    sampler: SamplerSettings,
    seed: int = 0,
    callbacks: Callbacks | None = None,
) -> Decision:
    """Return what the loop does to the one of some pictures [1, H, W, 3] that stands for them best."""
    example = 0
    if loop.prompt is None and len(images) > 1:
        example = choose_example([model.assess(image, loop.labels, loop.crops) for image in images])
    outcome = restore(model, images[example], loop, sampler, seed=seed, **vars(callbacks or Callbacks()))
    return Decision(outcome, tuple(plan_rounds(model, outcome, loop)), example)


def plan_rounds(model: AutoDIR, done: Restoration, loop: LoopSettings) -> list[PlannedRound]:
    """Return what changed a picture, a batch of one, for `repeat_rounds`."""
    planned: list[PlannedRound] = []
    for one in done.rounds:
        if one.changed(0):
            if one.probabilities is None:
                embedding = model.embed_text([loop.prompt or ""])
            else:
                embedding = blend(one.probabilities.to(model.device), model.prompts(done.labels).states)
            verdict = one.verdict(0)
            planned.append(PlannedRound(one.label, embedding, verdict.strength if verdict else 1.0, one.candidate))
    return planned


@torch.no_grad()
def repeat_rounds(
    model: AutoDIR,
    image: Tensor,
    planned: Sequence[PlannedRound],
    loop: LoopSettings,
    sampler: SamplerSettings,
    *,
    seed: int = 0,
) -> Tensor:
    """Return a picture [1, H, W, 3] after rounds that were decided on for another one, with the noise of that one."""
    [noise] = picture_noises(1, seed)
    image, ungated = check_images(image), replace(loop, gate=False, candidates=1)
    state = LoopState.start(image, model.labels)
    for one in planned:
        runner = RoundRunner(model, ungated, sampler, 0, noise, Callbacks()).candidate(one.candidate)
        done = runner.run(replace(state, label=one.label), one.embedding)
        state = replace(done, image=lerp_correction(state.image, done.image, one.strength))
    return lerp_correction(image, state.image, loop.strength)


@torch.no_grad()
def sample_each(
    model: AutoDIR,
    images: Tensor,
    text_embedding: Tensor,
    sampler: SamplerSettings | None = None,
    *,
    seed: Seed = 0,
    on_step: OnStep | None = None,
    on_stage: OnStage | None = None,
) -> Tensor:
    """Draw the restored latents [B, C, h, w] of a batch, one picture at a time as `restore` does.

    A batch needs no more memory than one picture, and each gives the bits that it gives alone.

    Args:
        model: from `load_autodir`.
        images: [B, H, W, 3], 0..1.
        text_embedding: [B, T, D].
        sampler: None is the paper's way.
        seed: as in `AutoDIR.sample`.
        on_step, on_stage: see `Callbacks`.
    """
    settings = LoopSettings(), settings_or_default(sampler, SamplerSettings, "sampler")
    noises = picture_noises(len(images), seed)
    runners = [
        RoundRunner(model, *settings, i, row, Callbacks(on_step, None, on_stage)) for i, row in enumerate(noises)
    ]
    rows = zip(runners, images.split(1), text_embedding.split(1), strict=True)
    return torch.cat([runner.sample(check_images(image), text, 0) for runner, image, text in rows])


@dataclass(frozen=True)
class RoundRunner:
    """What stays the same in every round of one picture: model, settings, noise, and who watches."""

    model: AutoDIR
    loop: LoopSettings
    sampler: SamplerSettings
    picture: int
    noise: PictureNoise
    callbacks: Callbacks

    def run(self, state: LoopState, embedding: Tensor, gate: QualityGate | None = None) -> LoopState:
        """Remove the degradation that `state` names, as far as the gate accepts it: the best of the candidates."""
        attempts = (
            replace(self.candidate(number).attempt(state, embedding, gate), candidate=number)
            for number in range(self.loop.candidates)
        )
        done = max(attempts, key=rank_attempt)
        if self.callbacks.on_round:
            self.callbacks.on_round(self.picture, done)
        image = done.image
        if self.loop.round_height is not None:
            done = scale_round(done, self.loop.round_height)
        return state.apply_round(done, image)

    def finish(self, image: Tensor, done: Restoration) -> Restoration:
        """Return the outcome for a picture [1, H, W, 3], its change in the strength that the settings say."""
        result = lerp_correction(image, done.image, self.loop.strength)
        return replace(done, image=image.clone() if result is image else result)  # never the caller's own memory

    def candidate(self, number: int) -> RoundRunner:
        """Return this runner with the noise of a candidate; the first one's is the picture's own."""
        if number == 0:
            return self
        return replace(self, noise=PictureNoise((self.noise.seed + number * CANDIDATE_STRIDE) & MAX_SEED, None, None))

    def attempt(self, state: LoopState, embedding: Tensor, gate: QualityGate | None) -> Round:
        """Restore once, and let the gate judge the result."""
        number = len(state.rounds)
        reduce = state.label in self.loop.reduced_labels and state.image[0, ..., 0].numel() > REDUCED_FROM_PIXELS
        generated, corrected = (self.generate_reduced if reduce else self.generate)(state.image, embedding, number)
        check_finite(corrected, f"the picture of round {number + 1}")
        image, verdicts = self.apply_change(state, generated, corrected), ()
        if gate and state.label:
            verdict, image = gate.choose(state.image, image, state.label, state.overall)
            verdicts = (verdict,)
        seen = state.assessment
        probabilities, votes = (None, None) if seen is None else (seen.probabilities, seen.votes)
        return Round((state.label,), probabilities, generated, corrected, image, verdicts, votes=votes)

    def apply_change(self, state: LoopState, generated: Tensor, corrected: Tensor) -> Tensor:
        """Return the picture after a round: the weighted correction, where the settings say."""
        weight = scm_weight(state.label, self.model.metadata.scm_weight, self.loop.scm_weight)
        image = lerp_correction(generated, corrected, weight)
        if self.loop.local and state.label:
            found = self.model.locate(state.image)[self.model.labels.index(state.label)]
            image = apply_mask(state.image, image, damage_mask(found))
        return image

    def generate_reduced(self, image: Tensor, embedding: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Restore a copy of about a megapixel and change the picture as that was changed; both results are alike."""
        height, width = image.shape[1:3]
        scale = (WHOLE_PIXELS / (height * width)) ** 0.5
        small = resize(image, max(round(height * scale), 1), max(round(width * scale), 1))
        _, corrected = self.generate(small, embedding, number)
        changed = transfer_change(image, small, corrected, self.reporter("transfer", number))
        return changed, changed

    def generate(self, image: Tensor, embedding: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Encode, sample, decode and correct; return the generated and the corrected picture."""
        stages, size = self.model.stages, (image.shape[1], image.shape[2])
        degraded = stages.place(image)
        latent = self.sample(degraded, embedding, number)
        generated = stages.decode(latent, self.model.metadata.latent_scale, size, self.reporter("decode", number))
        corrected = stages.correct(degraded, generated, self.reporter("correct", number))
        return generated.to(image.device), corrected.to(image.device)

    def sample(self, degraded: Tensor, embedding: Tensor, number: int) -> Tensor:
        """Encode a picture [1, H, W, 3] and draw its restored latent [1, C, h, w]."""
        return self.model.sample(
            self.model.stages.encode(degraded, self.reporter("encode", number)),
            embedding,
            self.sampler,
            seed=self.noise.seed,
            noise=self.noise.initial,
            noise_sampler=self.noise.sampler,
            on_step=lambda step, estimate: self.notify_step(number, step, estimate),
            on_tile=self.reporter("sample", number),
        )

    def notify_step(self, number: int, step: int, estimate: Tensor) -> None:
        if self.callbacks.on_step:
            self.callbacks.on_step(Progress(self.picture, number, step + 1, self.sampler.steps), estimate)

    def reporter(self, stage: str, number: int) -> OnTile:
        """Return what reports the tiles of a stage."""

        def report(done: int, total: int) -> None:
            if self.callbacks.on_stage:
                self.callbacks.on_stage(StageProgress(self.picture, number, stage, done, total))

        return report


def rank_attempt(done: Round) -> tuple[bool, float, float]:
    """Return what one attempt is preferred to another by: accepted, how strong, and how much damage it removed."""
    verdict = done.verdict(0)
    return (verdict.accepted, verdict.strength, verdict.removed) if verdict else (True, 1.0, 0.0)
