"""A restoration in words: lines for readers, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from ..errors import InputError
from ..outputs import Assessment, Restoration, Round

RUNNERS_UP = 2
"""How many labels a round's line names beside the winner."""


def round_lines(restoration: Restoration, picture: int = 0) -> list[str]:
    """One line per round of a picture, such as "round 1: haze 62 % (noise 9 %)", and last why it stopped."""
    lines = [
        round_line(number, done, restoration.labels, picture)
        for number, done in enumerate(rounds_of(restoration, picture), start=1)
    ]
    return [*lines, stop_line(restoration, picture)]


def round_line(number: int, done: Round, labels: Sequence[str], picture: int = 0) -> str:
    """The line of one round: its number from 1, the winning label, and the next two of at least 1 %."""
    others = [pair for pair in row_of(done.probabilities, labels, picture) if pair[0] != done.labels[picture]]
    close = [percentage(*pair) for pair in others[:RUNNERS_UP] if pair[1] >= 0.01]
    return f"round {number}: {winner(done, labels, picture)}" + (f" ({', '.join(close)})" if close else "")


def stop_line(restoration: Restoration, picture: int = 0) -> str:
    """Why a picture's loop ended, in plain words such as "done: clean (no 71 %)"."""
    count = len(rounds_of(restoration, picture))
    last = row_of(restoration.last_probabilities, restoration.labels, picture)
    reasons = {
        "clean": f"clean ({percentage(*last[0])})" if last else "clean",
        "low_confidence": f"low confidence ({percentage(*last[0])})" if last else "low confidence",
        "max_rounds": f"{count} round{'s' * (count != 1)} used up",
        "no_labels": "no label left",
        "prompt": "custom prompt",
    }
    return f"done: {reasons[restoration.stopped[picture]]}"


def batch_text(lines: Callable[[int], Sequence[str]], batch: int) -> str:
    """Join the lines about each picture of a batch, under a heading where there are several.

    Args:
        lines: the lines about a picture, counted from 0.
        batch: number of pictures.
    """
    if batch == 1:
        return "\n".join(lines(0))
    return "\n\n".join("\n".join([f"picture {i + 1}", *lines(i)]) for i in range(batch))


def assessment_lines(assessment: Assessment, picture: int = 0) -> list[str]:
    """One line per label, such as "haze 62 %", the most probable first."""
    check_picture(picture, len(assessment.probabilities))
    return [percentage(*pair) for pair in row_of(assessment.probabilities, assessment.labels, picture)]


def as_json(restoration: Restoration, picture: int = 0) -> dict[str, Any]:
    """What happened to one picture, ready for `json.dump`.

    "rounds" holds a "label" and "probabilities" by label for each round, without the labels that were removed before;
    "stopped" is the record's; "last_probabilities" are those of the last assessment. With a custom prompt there
    was no assessment: the label is null and there are no probabilities.
    """
    rounds = rounds_of(restoration, picture)
    won = [done.labels[picture] for done in rounds]
    report: dict[str, Any] = {
        "rounds": [
            {"label": label} | by_label("probabilities", done.probabilities, restoration.labels, picture, won[:number])
            for number, (label, done) in enumerate(zip(won, rounds, strict=True))
        ],
        "stopped": restoration.stopped[picture],
    }
    removed = won if restoration.stopped[picture] in ("clean", "low_confidence") else won[:-1]
    last = by_label("last_probabilities", restoration.last_probabilities, restoration.labels, picture, removed)
    return report | last


def rounds_of(restoration: Restoration, picture: int) -> list[Round]:
    """The rounds that one picture of the batch took part in; InputError where there is no such picture."""
    check_picture(picture, len(restoration.stopped))
    if restoration.stopped[picture] == "prompt":
        return restoration.rounds
    return [done for done in restoration.rounds if done.labels[picture] is not None]


def check_picture(picture: int, count: int) -> None:
    """InputError unless there is a picture of this number, counted from 0."""
    if not 0 <= picture < count:
        raise InputError(f"there is no picture {picture}: the {count} of this batch count from 0")


def row_of(probabilities: Tensor | None, labels: Sequence[str], picture: int) -> list[tuple[str, float]]:
    """One row of probabilities [B, L] with its labels, the most probable first; empty where nothing was assessed."""
    if probabilities is None:
        return []
    return sorted(zip(labels, probabilities[picture].tolist(), strict=True), key=lambda pair: -pair[1])


def percentage(label: str, probability: float) -> str:
    return f"{label} {100 * probability:.0f} %"


def winner(done: Round, labels: Sequence[str], picture: int) -> str:
    """A round's label with its probability, or "custom prompt"."""
    label = done.labels[picture]
    if label is None:
        return "custom prompt"
    return percentage(label, dict(row_of(done.probabilities, labels, picture))[label])


def by_label(
    name: str, probabilities: Tensor | None, labels: Sequence[str], picture: int, removed: Sequence[str | None]
) -> dict[str, dict[str, float]]:
    """One entry with the probabilities of the labels that were asked about; none where nothing was assessed."""
    asked = [pair for pair in row_of(probabilities, labels, picture) if pair[0] not in removed]
    return {name: {label: round(p, 6) for label, p in asked}} if asked else {}
