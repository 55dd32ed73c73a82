"""What the model and the loop return and report on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import InputError


@dataclass(frozen=True)
class Assessment:
    """What BIQA sees in a batch of pictures.

    Attributes:
        labels: the L labels that were asked about.
        probabilities: [B, L], softmax over the labels; the mean over the crops where there are several.
        embedding: [B, 77, D], the prompts' states blended with the probabilities, which conditions the diffusion.
        votes: [B, L], how many of the crops have each label as their most probable one; None where the center alone
            was looked at.
    """

    labels: tuple[str, ...]
    probabilities: Tensor
    embedding: Tensor
    votes: Tensor | None = None

    @property
    def top(self) -> tuple[str, ...]:
        """The most probable label of each picture."""
        return tuple(self.labels[i] for i in self.probabilities.argmax(dim=1).tolist())

    @property
    def agreeing(self) -> tuple[tuple[int, int], ...] | None:
        """Of each picture how many crops have its top label as theirs, and how many there are; None as for `votes`."""
        if self.votes is None:
            return None
        winners = zip(self.votes.tolist(), self.probabilities.argmax(dim=1).tolist(), strict=True)
        return tuple((votes[winner], sum(votes)) for votes, winner in winners)

    @property
    def agreement(self) -> tuple[float, ...] | None:
        """The part of each picture's crops that have its top label as theirs, 0..1; None as for `votes`."""
        return None if self.agreeing is None else tuple(agreeing / crops for agreeing, crops in self.agreeing)


@dataclass(frozen=True)
class Verdict:
    """What the quality gate found about one picture's round.

    Attributes:
        refusal: why the round was refused; "" where it was accepted.
        strength: the part of the change that was judged, 0..1; the accepted one.
        removed: the part of the label's probability that was gone after it, below 0 where it rose.
        edges: correlation of the edges before and after, -1..1.
        shift: change of the light at large, RMS in 0..1.
    """

    refusal: str
    strength: float
    removed: float
    edges: float
    shift: float

    @property
    def accepted(self) -> bool:
        return not self.refusal


@dataclass(frozen=True)
class Round:
    """One round of the loop over a batch.

    Attributes:
        labels: per picture the label that won, None where it had finished before or a custom prompt was used.
        probabilities: [B, L] over the loop's labels, 0 where a label was removed before; None with a custom prompt.
        generated: [B, H, W, 3], the decoder's picture, not clamped.
        corrected: [B, H, W, 3], the structure correction's picture at weight 1, not clamped.
        image: [B, H, W, 3], generated + w (corrected - generated) with the label's weight: what the next round gets.
            With a gate the accepted part of that change; the picture before the round where it was refused.
        verdicts: per picture what the gate found, None where it was not asked; empty without a gate.
        candidate: of a batch of one, which of several attempts this is, from 0.
        votes: [B, L], as in `Assessment`, of the one that the round began with.
    """

    labels: tuple[str | None, ...]
    probabilities: Tensor | None
    generated: Tensor
    corrected: Tensor
    image: Tensor
    verdicts: tuple[Verdict | None, ...] = ()
    candidate: int = 0
    votes: Tensor | None = None

    def verdict(self, picture: int) -> Verdict | None:
        """Return what the gate found about one picture's round; None where it was not asked."""
        return self.verdicts[picture] if self.verdicts else None

    def changed(self, picture: int) -> bool:
        """Whether the round of a picture was accepted, or there was no gate."""
        verdict = self.verdict(picture)
        return verdict is None or verdict.accepted

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
        stopped: per picture why it ended: "clean", "no_improvement", "low_confidence", "max_rounds", "no_labels" or
            "prompt"; "empty_mask" where nothing of it was to be restored.
        labels: the L labels that the probabilities of the rounds are over; empty with a custom prompt.
        last_probabilities: [B, L], each picture's last assessment: the one that ended it where one did.
    """

    image: Tensor
    rounds: list[Round]
    stopped: tuple[str, ...]
    labels: tuple[str, ...] = ()
    last_probabilities: Tensor | None = None


@dataclass(frozen=True)
class PlannedRound:
    """What a round does, whatever it meets: one of another picture, to be repeated.

    Attributes:
        label: the degradation that it removes; None with a custom prompt.
        embedding: [1, T, D], what conditions the diffusion.
        strength: the part of the change that the quality gate accepted, 0..1.
        candidate: which attempt's noise it was accepted with, from 0.
    """

    label: str | None
    embedding: Tensor
    strength: float
    candidate: int = 0


@dataclass(frozen=True)
class Decision:
    """What is done to all of several pictures.

    Attributes:
        outcome: of the picture that stands for all.
        rounds: those that changed it.
        example: its number among those that were looked at, from 0.
    """

    outcome: Restoration
    rounds: tuple[PlannedRound, ...]
    example: int = 0


def untouched(image: Tensor) -> Restoration:
    """Return the outcome of a picture [1, H, W, 3] whose mask is empty."""
    return Restoration(image, [], ("empty_mask",))


def join_votes(found: Sequence[Assessment]) -> Tensor | None:
    """Return the votes of several assessments over the same labels, as of one batch; None where one has none."""
    known = [one.votes for one in found if one.votes is not None]
    return torch.cat(known) if known and len(known) == len(found) else None


def spread_probabilities(probabilities: Tensor, asked: Sequence[str], labels: Sequence[str]) -> Tensor:
    """Return probabilities or votes [B, len(asked)] as [B, len(labels)], 0 for the labels that were not asked about."""
    full = probabilities.new_zeros(len(probabilities), len(labels))
    full[:, [labels.index(label) for label in asked]] = probabilities
    return full


@dataclass(frozen=True)
class Progress:
    """Where a restoration is: picture and round count from 0, the finished steps of this round from 1."""

    picture: int
    round: int
    step: int
    steps: int


@dataclass(frozen=True)
class StageProgress:
    """What a restoration is doing: tiles of a stage, of all steps where it is "sample".

    Attributes:
        picture, round: count from 0.
        stage: "assess", "encode", "sample", "decode", "correct", and "transfer" of the change of a reduced copy.
        done: finished tiles; 0 when the stage begins.
        total: tiles of the stage.
    """

    picture: int
    round: int
    stage: str
    done: int
    total: int

    @property
    def fraction(self) -> float:
        """About which part of the round is finished, 0..1."""
        stages = list(STAGE_SHARES)
        before = sum(STAGE_SHARES[stage] for stage in stages[: stages.index(self.stage)])
        return (before + STAGE_SHARES[self.stage] * self.done / self.total) / sum(STAGE_SHARES.values())


STAGE_SHARES = {"assess": 1, "encode": 4, "sample": 75, "decode": 8, "correct": 12, "transfer": 0}
"""The stages of a round in their order, and about how long they take."""

OnStep = Callable[[Progress, Tensor], None]
OnStage = Callable[[StageProgress], None]
OnRound = Callable[[int, Round], None]


@dataclass(frozen=True)
class Callbacks:
    """Who watches a restoration; what a callback raises ends it.

    Attributes:
        on_step: called with the progress and the estimate [1, C, h, w] after each network evaluation.
        on_round: called with the picture's number and the round's outcome when a round is done.
        on_stage: called when a stage of a round begins and after each of its tiles.
    """

    on_step: OnStep | None = None
    on_round: OnRound | None = None
    on_stage: OnStage | None = None


OnTile = Callable[[int, int], None]
"""Called with the number of finished tiles and of all."""


def ignore_tile(done: int, total: int) -> None:
    """Report a tile to nobody."""
