"""The graph's loop over a batch: a core `LoopState` for each picture, and the user's own values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ...autodir_core.checkpoint.metadata import GateThresholds, ModelMetadata
from ...autodir_core.errors import InputError
from ...autodir_core.imaging.filters import resize
from ...autodir_core.labels import CLEAN
from ...autodir_core.loop_policy import LoopState, choose_example, mean_assessment, merge_restorations
from ...autodir_core.model import AutoDIR
from ...autodir_core.outputs import Assessment, Restoration, Round, Verdict, join_votes
from ...autodir_core.stages.correction import lerp_correction, scm_weight
from ...autodir_core.stages.quality_gate import QualityGate
from ..comfy import progress
from . import io


@dataclass(frozen=True)
class Loop:
    """The value of an AUTODIR_LOOP.

    Attributes:
        originals: the pictures [B, H, W, 3 or 4] as they entered the loop.
        states: one per picture of the batch; their images have alpha where the originals have.
        values: the two values of the user's, as they entered this round.
        index: number of this round, from 0.
        thresholds: of the model's quality gate.
        example: the picture that stands for all where one decision is made for the batch; None where each has its own.
    """

    originals: Tensor
    states: tuple[LoopState, ...]
    values: tuple[Any, Any]
    index: int = 0
    thresholds: Mapping[str, GateThresholds] = field(default_factory=dict[str, GateThresholds])
    example: int | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The L labels that the loop looks for."""
        return self.states[0].labels

    @property
    def in_progress(self) -> bool:
        """Whether any picture has something to restore in this round."""
        return any(state.label is not None for state in self.states)

    @property
    def images(self) -> Tensor:
        """The pictures [B, H, W, 3 or 4] after their last rounds."""
        return torch.cat([state.image for state in self.states])

    def map_states(self, change: Callable[[LoopState], LoopState]) -> Loop:
        """Return the loop with every picture's state changed."""
        return replace(self, states=tuple(map(change, self.states)))

    def _comfy_cache_tensors(self) -> list[Any]:
        """Return what ComfyUI's cache counts as the memory of this value: it looks into lists and dictionaries."""
        assessments = [vars(state.assessment) for state in self.states if state.assessment is not None]
        rounds = [vars(done) for state in self.states for done in state.rounds]
        return [self.originals, self.values, [state.image for state in self.states], assessments, rounds]


def start(images: Tensor, labels: tuple[str, ...], values: tuple[Any, Any], metadata: ModelMetadata) -> Loop:
    """Return a loop over pictures [B, H, W, 3 or 4] before anything was assessed."""
    states = tuple(LoopState.start(image, labels) for image in images.split(1))
    return Loop(images, states, values, thresholds=metadata.gate)


Look = tuple[Assessment, dict[str, float] | None]
"""The assessment of a picture over its own labels, and the probabilities of all labels where those may differ."""


def assess(autodir: AutoDIR, loop: Loop, crops: str, one_decision: bool = False) -> Loop:
    """Decide for every picture that waits for it, over its own labels: each by itself, or by the mean of all."""
    looks = [look_at(autodir, state, crops) for state in loop.states if not state.stopped]
    if one_decision and looks:
        loop = replace(loop, example=choose_example([assessment for assessment, _ in looks]))
        looks = [mean_look(looks)] * len(looks)
    rest = iter(looks)
    return loop.map_states(lambda state: state if state.stopped else state.apply_assessment(*next(rest)))


def look_at(autodir: AutoDIR, state: LoopState, crops: str) -> Look:
    """Assess a picture."""
    progress.raise_if_interrupted()
    colors, _ = io.split_alpha(state.image)
    overall = QualityGate.of(autodir, state.labels, crops).overall(colors, state.remaining)
    return autodir.assess(colors, state.remaining, crops), overall


def mean_look(looks: Sequence[Look]) -> Look:
    """Return the mean of several; pictures that were always decided on together have the same labels left."""
    known = [overall for _, overall in looks if overall]
    overall = {label: sum(one[label] for one in known) / len(known) for label in known[0]} if known else None
    return mean_assessment([assessment for assessment, _ in looks]), overall


def apply_confidence(loop: Loop, min_confidence: float, gate: bool) -> Loop:
    """End each picture whose degradation is less probable than `min_confidence`, or than the gate asks for."""
    return loop.map_states(lambda state: state.apply_confidence(min_confidence, loop.thresholds if gate else None))


def low_confidence_indices(loop: Loop) -> str:
    """Return the pictures that were given up so far, as the next Loop Open takes them: such as "0,2"."""
    return ",".join(str(i) for i, state in enumerate(loop.states) if state.stopped == "low_confidence")


def mark_low_confidence(loop: Loop, indices: str) -> Loop:
    """Give up the pictures of `low_confidence_indices`."""
    given_up = indices.split(",")
    states = (state.give_up() if str(i) in given_up else state for i, state in enumerate(loop.states))
    return replace(loop, states=tuple(states))


def current_assessment(loop: Loop) -> Assessment:
    """Return the last assessments of all pictures as one, over the loop's labels."""
    known = [state.assessment for state in loop.states if state.assessment is not None]
    return Assessment(
        loop.labels,
        torch.cat([one.probabilities for one in known]),
        torch.cat([one.embedding for one in known]),
        join_votes(known),
    )


def current_labels(loop: Loop) -> str:
    """Return the labels to restore, separated by commas; "no" for a picture that has finished."""
    return ", ".join(state.label or CLEAN for state in loop.states)


def current_weights(loop: Loop, autodir: AutoDIR) -> float | list[float]:
    """Return the correction's weight after the labels to restore; one per picture only where they differ."""
    weights = [scm_weight(state.label, autodir.metadata.scm_weight, None) for state in loop.states]
    counting = {weight for weight, state in zip(weights, loop.states, strict=True) if state.label is not None}
    return counting.pop() if len(counting) == 1 else weights


def apply_round(loop: Loop, images: Tensor | None, values: tuple[Any, Any], gate: QualityGate | None = None) -> Loop:
    """Close the round with `images` [B, h, w, 3 or 4] of the user's nodes; a finished picture stays as it is.

    A gate accepts each picture's change, a part of it, or nothing; after one decision for all, of all alike.

    Raises InputError for pictures of another number, or of another shape than a finished one has.
    """
    if images is None or images.ndim != 4 or len(images) != len(loop.states):
        got = "none" if images is None else list(images.shape)
        raise InputError(
            f"the nodes of the loop must give back one picture for each of the {len(loop.states)} that went in, got "
            f"{got}; take from a batch and add to it after the loop"
        )
    judge = share_verdict(gate, loop, images) if gate and loop.example is not None and loop.in_progress else gate
    states = tuple(apply_own_round(*pair, judge) for pair in zip(loop.states, images.split(1), strict=True))
    shapes = {tuple(state.image.shape) for state in states}
    if len(shapes) > 1:
        sizes = " and ".join(f"{width} x {height} x {channels}" for _, height, width, channels in sorted(shapes))
        raise InputError(
            f"some pictures of the batch are finished and others changed their shape ({sizes}); give the loop one "
            "picture at a time, or resize after it"
        )
    return replace(loop, states=states, values=values, index=loop.index + 1)


@dataclass(frozen=True)
class SharedVerdict:
    """A gate that found the same about every picture."""

    verdict: Verdict

    def choose(self, before: Tensor, after: Tensor, label: str, overall: Mapping[str, float]) -> tuple[Verdict, Tensor]:
        """Return the verdict and the accepted part of a round's change, as `QualityGate.choose` does."""
        if not self.verdict.accepted:
            return self.verdict, before
        return self.verdict, lerp_correction(resize(before, *after.shape[1:3]), after, self.verdict.strength)


def share_verdict(gate: QualityGate, loop: Loop, images: Tensor) -> SharedVerdict:
    """Judge the round of all pictures by the one that stands for them."""
    number = loop.example or 0
    state = loop.states[number]
    before, _ = io.split_alpha(state.image)
    after, _ = io.split_alpha(images[number : number + 1].to(before))
    verdict, _ = gate.choose(before, after, state.label or "", gate.probabilities(before))
    return SharedVerdict(verdict)


def apply_own_round(state: LoopState, image: Tensor, gate: QualityGate | SharedVerdict | None) -> LoopState:
    """Close one picture's round; nothing but the result is known of what the user's nodes did."""
    if state.label is None or state.assessment is None:
        return state
    image = keep_alpha(state.image, image.to(state.image))
    after, alpha = io.split_alpha(image)
    verdicts: tuple[Verdict, ...] = ()
    chosen = after
    if gate:
        progress.raise_if_interrupted()
        before, _ = io.split_alpha(state.image)
        verdict, chosen = gate.choose(before, after, state.label, state.overall)
        verdicts = (verdict,)
        image = io.with_alpha(chosen, alpha) if verdict.accepted else state.image
    seen = state.assessment
    done = Round((state.label,), seen.probabilities, after, after, chosen, verdicts, votes=seen.votes)
    return state.apply_round(done, image)


def keep_alpha(before: Tensor, after: Tensor) -> Tensor:
    """Return a picture [1, h, w, 3] with the alpha it had before the round, scaled where the round changed its size."""
    _, alpha = io.split_alpha(before)
    if alpha is None or after.shape[-1] == 4:
        return after
    return io.with_alpha(after, resize(alpha, after.shape[1], after.shape[2], mode="bilinear"))


def is_last_round(loop: Loop, max_rounds: int) -> bool:
    """Whether no picture is assessed again after the round in progress."""
    return all(state.is_last_round(max_rounds) for state in loop.states if state.label is not None)


def restoration(loop: Loop, max_rounds: int) -> Restoration:
    """Return the finished loop as the outcome that reports are made from; pictures without alpha."""
    single = [state.restoration(max_rounds) for state in loop.states]
    return merge_restorations([replace(one, image=io.split_alpha(one.image)[0]) for one in single])


def all_pictures(loop: Loop, done: Restoration) -> Tensor:
    """Return the input and the pictures after each round, [(rounds + 1) * B, H, W, 3], in the size of the last one."""
    before, _ = io.split_alpha(loop.originals)
    height, width = done.image.shape[1:3]
    return torch.cat(
        [resize(images, height, width, mode="bilinear") for images in (before, *(row.image for row in done.rounds))]
    )
