"""The paper's figure 2 in code: assess, condition, diffuse, correct, and again until nothing is left to restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .diffusion.noise import PictureNoise, Seed, picture_noises
from .diffusion.samplers import NoiseSampler
from .imaging.layout import check_images
from .labels import check_labels
from .loop_policy import decide, why_stop
from .model import AutoDIR
from .settings import LoopSettings, Restoration, Round, SamplerSettings
from .stages.correction import scm_weight, weigh


@dataclass(frozen=True)
class Progress:
    """Where a restoration stands: picture and round count from 0, the steps done in this round from 1."""

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
        loop: rounds, labels or the user's own words; None is the paper's way.
        sampler: how the diffusion runs; None is the paper's way.
        seed, noise, noise_sampler: as in `AutoDIR.sample`; the noise repeats in every round.
        on_step: called with the progress and the estimate [1, C, h, w] after each network evaluation.
        on_round: called with the picture's number and the round's record when a round is done.

    Raises InputError for pictures, labels or settings that cannot be used.
    """
    images = check_images(images)
    loop, sampler = loop or LoopSettings(), sampler or SamplerSettings()
    noises = picture_noises(len(images), seed, noise=noise, noise_sampler=noise_sampler)
    one_by_one = (Diffusion(model, sampler, i, source, on_step) for i, source in enumerate(noises))
    walk = restore_with_words if loop.prompt is not None else restore_by_labels
    return gathered([walk(diffusion, images[i : i + 1], loop, on_round) for i, diffusion in enumerate(one_by_one)])


@torch.inference_mode()
def restore_by_labels(
    diffusion: Diffusion, image: Tensor, loop: LoopSettings, on_round: OnRound | None = None
) -> Restoration:
    """The automatic loop over one picture [1, H, W, 3]."""
    model, rounds, stopped = diffusion.model, [], None
    labels = remaining = check_labels(model.labels if loop.labels is None else loop.labels, model.labels)
    probabilities = torch.zeros(1, len(labels))
    while stopped is None:
        assessment = model.assess(image, remaining, loop.view)
        probabilities = spread(assessment.probabilities, remaining, labels)
        decision = decide(assessment.probabilities[0].tolist(), remaining, loop.threshold)
        if decision.stopped is not None:
            stopped = decision.stopped
            break
        weight = scm_weight(decision.label, model.metadata.scm_weight, loop.scm_weight)
        generated, corrected = diffusion.round(image, assessment.embedding, len(rounds))
        image = weigh(generated, corrected, weight)
        rounds.append(Round((decision.label,), probabilities, generated, corrected, image))
        report(on_round, diffusion, rounds[-1])
        remaining = decision.remaining
        stopped = why_stop(len(rounds), loop.max_rounds, remaining)
    return Restoration(image, rounds, (stopped,), labels, probabilities)


@torch.inference_mode()
def restore_with_words(
    diffusion: Diffusion, image: Tensor, loop: LoopSettings, on_round: OnRound | None = None
) -> Restoration:
    """One round over one picture [1, H, W, 3] with the user's own words and no assessment."""
    weight = scm_weight(None, diffusion.model.metadata.scm_weight, loop.scm_weight)
    generated, corrected = diffusion.round(image, diffusion.model.embed_text([loop.prompt or ""]), 0)
    only = Round((None,), None, generated, corrected, weigh(generated, corrected, weight))
    report(on_round, diffusion, only)
    return Restoration(only.image, [only], ("prompt",))


@dataclass(frozen=True)
class Diffusion:
    """What stays the same in every round of one picture: the model, how it samples, and the noise."""

    model: AutoDIR
    sampler: SamplerSettings
    picture: int
    noise: PictureNoise
    on_step: OnStep | None

    def round(self, image: Tensor, embedding: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """The generated and the corrected picture [1, H, W, 3] of one pass: encode, sample, decode, correct."""
        latent = self.model.sample(
            self.model.encode(image),
            embedding,
            self.sampler,
            seed=self.noise.seed,
            noise=self.noise.start,
            noise_sampler=self.noise.sampler,
            on_step=lambda step, estimate: self.watch(number, step, estimate),
        )
        generated = self.model.decode(latent, size=(image.shape[1], image.shape[2])).to(image.device)
        return generated, self.model.correct(image, generated)

    def watch(self, number: int, step: int, estimate: Tensor) -> None:
        if self.on_step:
            self.on_step(Progress(self.picture, number, step + 1, self.sampler.steps), estimate)


def report(on_round: OnRound | None, diffusion: Diffusion, done: Round) -> None:
    if on_round:
        on_round(diffusion.picture, done)


def spread(probabilities: Tensor, asked: tuple[str, ...], labels: tuple[str, ...]) -> Tensor:
    """Probabilities [1, len(asked)] as [1, len(labels)], 0 for the labels that were not asked about."""
    full = probabilities.new_zeros(len(probabilities), len(labels))
    full[:, [labels.index(label) for label in asked]] = probabilities
    return full


def gathered(parts: list[Restoration]) -> Restoration:
    """The restorations of single pictures as one of a batch; a finished picture stays as it is in later rounds."""
    longest = max(parts, key=lambda part: len(part.rounds)).rounds
    rounds = [
        joined([part.rounds[i] if i < len(part.rounds) else finished(part, template) for part in parts])
        for i, template in enumerate(longest)
    ]
    last = [part.last_probabilities for part in parts if part.last_probabilities is not None]
    return Restoration(
        torch.cat([part.image for part in parts]),
        rounds,
        tuple(part.stopped[0] for part in parts),
        parts[0].labels,
        torch.cat(last) if last else None,
    )


def joined(rows: list[Round]) -> Round:
    """Rounds of single pictures as one of a batch."""
    probabilities = [row.probabilities for row in rows if row.probabilities is not None]
    return Round(
        tuple(row.labels[0] for row in rows),
        torch.cat(probabilities) if probabilities else None,
        torch.cat([row.generated for row in rows]),
        torch.cat([row.corrected for row in rows]),
        torch.cat([row.image for row in rows]),
    )


def finished(part: Restoration, template: Round) -> Round:
    """The row of a picture that has no such round."""
    nothing = None if template.probabilities is None else torch.zeros_like(template.probabilities)
    return Round((None,), nothing, part.image, part.image, part.image)
