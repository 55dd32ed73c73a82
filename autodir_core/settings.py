"""The frozen records that travel between the rooms: settings in, assessments and rounds out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:  # torch stays out of what ComfyUI imports at its start
    from torch import Tensor

SAMPLERS = ("euler_ancestral", "euler", "dpmpp_2m")

VIEWS = ("centre", "grid")
"""What part of a picture an assessment looks at: the central square officially, or squares from border to border."""


def check_view(view: str) -> str:
    """`view`; InputError unless it is one of `VIEWS`."""
    if view not in VIEWS:
        raise InputError(f"unknown view {view!r}; choose among: {', '.join(VIEWS)}")
    return view


def check_threshold(threshold: float) -> float:
    """`threshold`; InputError unless it is a probability, 0..1."""
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold must lie in 0..1, got {threshold}")
    return threshold


@dataclass(frozen=True)
class SamplerSettings:
    """How the latent diffusion runs; the defaults are the paper's.

    Args:
        steps: network evaluations per round, 1 or more; the official script defaults to 100, its README uses 200.
        sampler: one of `SAMPLERS`; the official one is "euler_ancestral".
        text_guidance: strength of the text condition; 1 is no extrapolation.
        image_guidance: strength of the image condition; 1 is no extrapolation.
    """

    steps: int = 100
    sampler: str = "euler_ancestral"
    text_guidance: float = 1.0
    image_guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps must be 1 or more, got {self.steps}")
        if self.sampler not in SAMPLERS:
            raise InputError(f"unknown sampler {self.sampler!r}; choose among: {', '.join(SAMPLERS)}")


@dataclass(frozen=True)
class LoopSettings:
    """How the rounds of a restoration go; the defaults are the paper's.

    Args:
        max_rounds: rounds at most, 1 or more; the official loop stops after 7.
        labels: the labels to look for; None means all labels of the file.
        prompt: the user's own words instead of the assessment: one round, no label.
        scm_weight: strength of the structure correction; None means the file's table, a number holds for every label,
            a mapping overrides the table for the labels it names.
        view: one of `VIEWS`, what part of a picture is assessed; the official one is "centre".
        threshold: 0..1, how probable a degradation must be to be restored; a picture whose most probable one lies below
            is finished. 0 restores whatever wins, as the paper does.
    """

    max_rounds: int = 7
    labels: Sequence[str] | None = None
    prompt: str | None = None
    scm_weight: float | Mapping[str, float] | None = None
    view: str = "centre"
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if self.max_rounds < 1:
            raise InputError(f"max_rounds must be 1 or more, got {self.max_rounds}")
        check_view(self.view)
        check_threshold(self.threshold)


@dataclass(frozen=True)
class Assessment:
    """What BIQA sees in a batch of pictures.

    Attributes:
        labels: the L labels that were asked about.
        probabilities: [B, L], softmax over the labels; the mean of those of several squares.
        embedding: [B, 77, D], the prompts' states blended with the probabilities: the condition of the diffusion.
    """

    labels: tuple[str, ...]
    probabilities: Tensor
    embedding: Tensor

    @property
    def top(self) -> tuple[str, ...]:
        """The most probable label of each picture."""
        return tuple(self.labels[i] for i in self.probabilities.argmax(dim=1).tolist())


@dataclass(frozen=True)
class Round:
    """One pass of the loop over a batch.

    Attributes:
        labels: per picture the label that won, None where it was finished before or the user's words were used.
        probabilities: [B, L] over the loop's labels, 0 where a label was removed before; None in a prompt run.
        generated: [B, H, W, 3], the decoder's picture, not clamped.
        corrected: [B, H, W, 3], the structure correction's picture at weight 1, not clamped.
        image: [B, H, W, 3], generated + w (corrected - generated) with the label's weight: what the next round gets.
    """

    labels: tuple[str | None, ...]
    probabilities: Tensor | None
    generated: Tensor
    corrected: Tensor
    image: Tensor

    @property
    def label(self) -> str | None:
        """The label of a batch of one."""
        if len(self.labels) != 1:
            raise InputError(f"this round has {len(self.labels)} pictures; read .labels instead of .label")
        return self.labels[0]


@dataclass(frozen=True)
class Restoration:
    """The outcome of the loop.

    Attributes:
        image: [B, H, W, 3]; the untouched input where the first assessment found nothing, or nothing for sure.
        rounds: what happened in each round, in order.
        stopped: per picture why it ended: "clean", "unsure", "max_rounds", "no_labels" or "prompt".
        labels: the L labels that the probabilities of the rounds are over; empty in a prompt run.
        last_probabilities: [B, L], each picture's last assessment: the one that ended it, if clean or unsure.
    """

    image: Tensor
    rounds: list[Round]
    stopped: tuple[str, ...]
    labels: tuple[str, ...] = ()
    last_probabilities: Tensor | None = None
