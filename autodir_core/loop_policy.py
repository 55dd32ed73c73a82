"""The loop as one immutable machine: where a picture is among its rounds, what happens to it next, what a batch gives.

`pipeline.restore` folds over it, and so does the loop of a ComfyUI graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .checkpoint.metadata import GateThresholds
from .choices import DEGRADATIONS
from .imaging.filters import resize
from .labels import CLEAN, damage_probability
from .outputs import Assessment, Restoration, Round, join_votes, spread_probabilities

CLOSE = 0.5
"""Part of the highest probability from which on another label counts as nearly as probable."""

SAMPLES = 5
"""Pictures at most by which one decision for many is made."""


@dataclass(frozen=True)
class LoopState:
    """One picture on its way through the rounds; every step returns the next state.

    Attributes:
        image: [1, H, W, C], what the next round starts from; the machine does not look into it.
        labels: the L labels that the loop looks for.
        remaining: those to ask about next: a label that won is asked about no more (official `sample` script).
        rounds: the finished ones.
        label: the degradation to restore in the round in progress; None before an assessment and at the end.
        stopped: what the last assessment ended the loop with, "clean", "no_improvement" (what was left to restore was
            refused) or "low_confidence"; None while it goes on.
        assessment: the last one, over all L labels, probability 0 for those that were removed before.
        overall: the probabilities of all labels in `image`, removed ones too; what a gate judges by.
    """

    image: Tensor
    labels: tuple[str, ...]
    remaining: tuple[str, ...]
    rounds: tuple[Round, ...] = ()
    label: str | None = None
    stopped: str | None = None
    assessment: Assessment | None = None
    overall: Mapping[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def start(cls, image: Tensor, labels: tuple[str, ...]) -> LoopState:
        """Return the state of a picture [1, H, W, C] before its first assessment."""
        return cls(image, labels, labels)

    def apply_assessment(
        self, assessment: Assessment, overall: Mapping[str, float] | None = None, order: str = "probability"
    ) -> LoopState:
        """Let the most probable label win; "no" ends the loop.

        Args:
            assessment: of this one picture, over `remaining`.
            overall: its probabilities of all labels; None where those of `assessment` may do.
            order: one of `choices.ORDERS`.
        """
        asked = dict(zip(self.remaining, assessment.probabilities[0].tolist(), strict=True))
        label = choose_label(asked, order)
        probabilities = spread_probabilities(assessment.probabilities, self.remaining, self.labels)
        votes = assessment.votes
        votes = None if votes is None else spread_probabilities(votes, self.remaining, self.labels)
        whole = Assessment(self.labels, probabilities, assessment.embedding, votes)
        seen = replace(self, assessment=whole, overall=asked if overall is None else overall)
        if label == CLEAN:
            return replace(seen, stopped="no_improvement" if self.is_refused() else "clean")
        return replace(seen, label=label, remaining=tuple(other for other in self.remaining if other != label))

    @property
    def confidence(self) -> float:
        """The probability of the degradation to restore; 1 where there is none to doubt."""
        if self.label is None or self.assessment is None:
            return 1.0
        return self.assessment.probabilities[0, self.labels.index(self.label)].item()

    def apply_confidence(self, min_confidence: float, gate: Mapping[str, GateThresholds] | None = None) -> LoopState:
        """End the loop where the degradation is less probable than `min_confidence`; one exactly there goes on.

        A gate asks so of its probability and of that against none (`damage_probability`), where none may be the answer.
        """
        if self.label is None:
            return self
        unsure = self.confidence < min_confidence
        if gate is not None and self.overall and CLEAN in self.labels:
            least = gate.get(self.label, GateThresholds())
            unsure |= damage_probability(self.overall, self.label) < least.min_confidence
            unsure |= self.overall[self.label] < least.min_probability
        return self.give_up() if unsure else self

    def give_up(self) -> LoopState:
        """End the loop before the round in progress, the picture as it entered it."""
        return replace(self, label=None, stopped="low_confidence")

    def is_refused(self) -> bool:
        """Whether the gate refused the last round."""
        return bool(self.rounds) and not self.rounds[-1].changed(0)

    def apply_round(self, done: Round, image: Tensor) -> LoopState:
        """Close the round in progress; the next one starts from `image`."""
        return replace(self, image=image, rounds=(*self.rounds, done), label=None)

    def stop_reason(self, max_rounds: int) -> str | None:
        """Why no assessment follows: as `stopped`, "max_rounds" or "no_labels"; None while one does."""
        if self.stopped is not None:
            return self.stopped
        if len(self.rounds) >= max_rounds:
            return "max_rounds"
        return None if self.remaining else "no_labels"

    def is_last_round(self, max_rounds: int) -> bool:
        """Whether no assessment follows the round in progress."""
        return len(self.rounds) + 1 >= max_rounds or not self.remaining

    def restoration(self, max_rounds: int) -> Restoration:
        """Return the outcome of a finished loop."""
        last = None if self.assessment is None else self.assessment.probabilities
        reason = self.stop_reason(max_rounds) or ""
        return Restoration(self.image, list(self.rounds), (reason,), self.labels, last)


def mean_assessment(found: Sequence[Assessment]) -> Assessment:
    """Return the mean of assessments over the same labels, as one of a single picture."""
    votes = join_votes(found)
    return Assessment(
        found[0].labels,
        torch.cat([one.probabilities for one in found]).mean(dim=0, keepdim=True),
        torch.cat([one.embedding for one in found]).mean(dim=0, keepdim=True),
        None if votes is None else votes.sum(dim=0, keepdim=True),
    )


def choose_example(found: Sequence[Assessment]) -> int:
    """Return which of several pictures is nearest to their mean in what the assessment sees."""
    probabilities = torch.cat([one.probabilities for one in found])
    return int((probabilities - probabilities.mean(dim=0)).norm(dim=1).argmin())


def sample_numbers(first: int, end: int) -> list[int]:
    """Return the numbers of up to `SAMPLES` pictures, evenly from `first` to before `end`, none at the very ends."""
    count = min(SAMPLES, end - first)
    return [first + (2 * i + 1) * (end - first) // (2 * count) for i in range(count)]


def choose_label(probabilities: Mapping[str, float], order: str) -> str:
    """Return the most probable label, the first one of a tie.

    In "physical" order, where that is a degradation, it is of those at least `CLOSE` times as probable the one that
    came last into the picture: what lies on top is undone first.
    """
    label = max(probabilities, key=lambda name: probabilities[name])
    formation = list(DEGRADATIONS)
    if order == "probability" or label not in formation:
        return label
    close = [name for name in formation if probabilities.get(name, 0.0) >= CLOSE * probabilities[label]]
    return close[-1]


def merge_restorations(parts: Sequence[Restoration]) -> Restoration:
    """Return the outcomes of single pictures as one; a picture without a round repeats its result there.

    A batch of one is returned as it is.
    """
    if len(parts) == 1:
        return parts[0]
    longest = max(parts, key=lambda part: len(part.rounds)).rounds
    return Restoration(
        torch.cat([part.image for part in parts]),
        [merge_rounds(parts, number) for number in range(len(longest))],
        tuple(part.stopped[0] for part in parts),
        max((part.labels for part in parts), key=len),
        concatenate([part.last_probabilities for part in parts]),
    )


def merge_rounds(parts: Sequence[Restoration], number: int) -> Round:
    """Return one round of single pictures as that of a batch."""
    template = next(part.rounds[number] for part in parts if number < len(part.rounds))
    rows = [part.rounds[number] if number < len(part.rounds) else padding_round(part, template) for part in parts]
    return Round(
        tuple(row.labels[0] for row in rows),
        concatenate([row.probabilities for row in rows]),
        torch.cat([row.generated for row in rows]),
        torch.cat([row.corrected for row in rows]),
        torch.cat([row.image for row in rows]),
        tuple(verdict for row in rows for verdict in row.verdicts or (None,))
        if any(row.verdicts for row in rows)
        else (),
        votes=concatenate([row.votes for row in rows]),
    )


def padding_round(part: Restoration, template: Round) -> Round:
    """Return the row of a picture that had finished before, in the size of the others' rounds."""
    nothing = None if template.probabilities is None else torch.zeros_like(template.probabilities)
    image = resize(part.image, *template.image.shape[1:3])
    return Round((None,), nothing, image, image, image)


def concatenate(rows: Sequence[Tensor | None]) -> Tensor | None:
    """Return the rows as one batch, zeros for those that are not there; None where none is."""
    found = [row for row in rows if row is not None]
    return torch.cat([torch.zeros_like(found[0]) if row is None else row for row in rows]) if found else None


def scale_round(done: Round, height: int) -> Round:
    """Return a round with its pictures scaled to `height` pixels; lower ones stay as they are."""

    def scale(images: Tensor) -> Tensor:
        rows, columns = images.shape[1:3]
        return resize(images, height, max(columns * height // rows, 1)) if rows > height else images

    return replace(done, generated=scale(done.generated), corrected=scale(done.corrected), image=scale(done.image))
