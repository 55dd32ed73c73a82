"""A restoration in words: lines for readers, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from ..errors import InputError
from ..outputs import Assessment, Restoration, Round, Verdict
from .language import label_name, phrase

RUNNERS_UP = 2
"""How many labels a round's line names besides the winner."""

ASSESSED_ENDS = {
    "clean": "done: clean",
    "no_improvement": "done: no improvement",
    "low_confidence": "done: low confidence",
}
"""What `Restoration.stopped` means where an assessment ended the loop."""

SURE = "; if you see it, name it: labels, or --labels on the command line"
"""What follows where a damage was not probable enough to be restored: who names it is believed."""

AGREEMENT = "agreement"
"""Of what programs read about an assessment: the part of a picture's crops that have a label as their top one, 0..1."""

OTHER_ENDS = {
    "no_labels": "done: no label left",
    "prompt": "done: custom prompt",
    "empty_mask": "done: the mask is empty, nothing was to be restored",
}


def round_lines(restoration: Restoration, picture: int = 0, language: str = "en") -> list[str]:
    """Return one line per round of a picture, such as "round 1: haze 62 % (noise 9 %)", and last why it stopped."""
    lines = [
        round_line(number, done, restoration.labels, picture, language)
        for number, done in enumerate(picture_rounds(restoration, picture), start=1)
    ]
    return [*lines, stop_line(restoration, picture, language)]


def round_line(number: int, done: Round, labels: Sequence[str], picture: int = 0, language: str = "en") -> str:
    """Return the line of one round: its number from 1, the winning label, and the next two of at least 1 %."""
    others = [
        pair for pair in rank_probabilities(done.probabilities, labels, picture) if pair[0] != done.labels[picture]
    ]
    close = [percentage(*pair, language) for pair in others[:RUNNERS_UP] if pair[1] >= 0.01]
    beside = phrase(language, " ({others})", others=phrase(language, ", ").join(close)) if close else ""
    found = winner_text(done, labels, picture, language) + beside + votes_text(done, labels, picture, language)
    return phrase(language, "round {number}: {found}", number=number, found=found) + verdict_text(
        done.verdict(picture), language
    )


def votes_text(done: Round, labels: Sequence[str], picture: int = 0, language: str = "en") -> str:
    """Return what follows the label where several crops were looked at: how many of them have it as their top label."""
    label = done.labels[picture]
    if done.votes is None or label is None:
        return ""
    votes = done.votes[picture].tolist()
    agreement = agreement_text(votes[labels.index(label)], sum(votes), language)
    return phrase(language, ", {text}", text=agreement) if agreement else ""


def agreement_text(agreeing: int, crops: int, language: str = "en") -> str:
    """Return how many of a picture's crops have a label as their top one; "" where there is one crop alone."""
    template = "top label of {agreeing} of {crops} crops"
    return phrase(language, template, agreeing=agreeing, crops=crops) if crops > 1 else ""


def verdict_text(verdict: Verdict | None, language: str = "en") -> str:
    """Return what follows the label where the gate refused a round or accepted a part of its change, else nothing."""
    if verdict is None or (verdict.accepted and verdict.strength == 1):
        return ""
    if verdict.accepted:
        return phrase(language, ", {part:.0f} % of its change accepted", part=100 * verdict.strength)
    return phrase(language, ", refused: {reason}", reason=phrase(language, verdict.refusal))


def stop_line(restoration: Restoration, picture: int = 0, language: str = "en") -> str:
    """Return why a picture's loop ended, in plain words such as "done: clean (no 71 %)"."""
    reason = restoration.stopped[picture]
    count = len(picture_rounds(restoration, picture))
    last = rank_probabilities(restoration.last_probabilities, restoration.labels, picture)
    found = phrase(language, " ({others})", others=percentage(*last[0], language)) if last else ""
    if reason in ASSESSED_ENDS:
        advice = phrase(language, SURE) if reason == "low_confidence" and last else ""
        return phrase(language, ASSESSED_ENDS[reason]) + found + advice
    if reason == "max_rounds":
        limit = "stopped: limit of {count} round reached" if count == 1 else "stopped: limit of {count} rounds reached"
        return phrase(language, limit, count=count)
    return phrase(language, OTHER_ENDS[reason])


def mask_line(mask: Tensor | None, language: str = "en") -> list[str]:
    """Return the line that says how much of a picture its mask [H, W] lets change; [] for all of it and for nothing."""
    if mask is None or not mask.any() or mask.min() == 1:
        return []
    template = "inside the mask only, {part:.0f} % of the picture; the rest is the input"
    return [phrase(language, template, part=100 * mask.mean().item())]


def preset_line(preset: str, name: str, used: object, given: object, language: str = "en") -> str:
    """Return the line that says which setting of a preset takes the place of one that was given."""
    template = "preset {preset}: {name} {used}; {given} counts with custom only"
    return phrase(language, template, preset=preset, name=name, used=used, given=given)


def decision_line(count: int, picture: int, language: str = "en") -> str:
    """Return the line that says which picture, counted from 0, stood for all `count` of a batch."""
    template = "one decision for all {count} pictures, made on picture {number}"
    return phrase(language, template, count=count, number=picture + 1)


def batch_text(lines: Callable[[int], Sequence[str]], batch: int, language: str = "en") -> str:
    """Join the lines about each picture of a batch, under a heading where there are several.

    Args:
        lines: the lines about a picture, counted from 0.
        batch: number of pictures.
        language: one of `choices.LANGUAGES`, of the headings.
    """
    if batch == 1:
        return "\n".join(lines(0))
    headings = [phrase(language, "picture {number}", number=i + 1) for i in range(batch)]
    return "\n\n".join("\n".join([heading, *lines(i)]) for i, heading in enumerate(headings))


def assessment_lines(assessment: Assessment, picture: int = 0, language: str = "en") -> list[str]:
    """Return one line per label, such as "haze 62 %", the most probable first, and how far several crops agree."""
    check_picture_index(picture, len(assessment.probabilities))
    ranked = rank_probabilities(assessment.probabilities, assessment.labels, picture)
    agreement = agreement_text(*assessment.agreeing[picture], language) if assessment.agreeing else ""
    return [*(percentage(*pair, language) for pair in ranked), *([agreement] if agreement else [])]


def to_dict(restoration: Restoration, picture: int = 0) -> dict[str, Any]:
    """Return what happened to one picture, ready for `json.dump`.

    "rounds" holds a "label" and "probabilities" by label for each round, without the labels that were removed before,
    of a grid how far its crops agree (`agreement_dict`), and the gate's "verdict" where there is one: "accepted",
    "refusal" and its scores (`Verdict`), with the "candidate" that was taken, from 0;
    "stopped" is why the loop ended; "last_probabilities" are those of the last assessment. A custom prompt has no
    assessment: its label is null and there are no probabilities.
    """
    rounds, labels = picture_rounds(restoration, picture), restoration.labels
    won = [done.labels[picture] for done in rounds]
    report: dict[str, Any] = {"rounds": [], "stopped": restoration.stopped[picture]}
    for number, (label, done) in enumerate(zip(won, rounds, strict=True)):
        asked = probabilities_by_label(done.probabilities, labels, picture, exclude=won[:number])
        report["rounds"].append(
            {"label": label}
            | ({"probabilities": asked} if asked else {})
            | votes_dict(done, labels, picture)
            | verdict_dict(done, picture)
        )
    removed = won[:-1] if restoration.stopped[picture] in ("max_rounds", "no_labels", "prompt") else won
    last = probabilities_by_label(restoration.last_probabilities, labels, picture, exclude=removed)
    return report | ({"last_probabilities": last} if last else {})


def votes_dict(done: Round, labels: Sequence[str], picture: int) -> dict[str, Any]:
    label = done.labels[picture]
    if done.votes is None or label is None:
        return {}
    votes = done.votes[picture].tolist()
    return agreement_dict(votes[labels.index(label)], sum(votes))


def agreement_dict(agreeing: int, crops: int) -> dict[str, Any]:
    """Return the part of a picture's crops that have a label as their top one, 0..1, and how many; nothing of one."""
    return {AGREEMENT: round(agreeing / crops, 4), "crops": crops} if crops > 1 else {}


def verdict_dict(done: Round, picture: int) -> dict[str, Any]:
    verdict = done.verdict(picture)
    if verdict is None:
        return {}
    scores = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(verdict).items()}
    return {"verdict": {"accepted": verdict.accepted} | scores, "candidate": done.candidate}


def assessment_dict(assessment: Assessment) -> dict[str, Any]:
    """Return the labels, and the top label and the probabilities of each picture, ready for `json.dump`.

    Of a grid of crops their agreement too (`agreement_dict`).
    """
    pictures = [
        {"label": label, "probabilities": probabilities_by_label(assessment.probabilities, assessment.labels, i)}
        | (agreement_dict(*assessment.agreeing[i]) if assessment.agreeing else {})
        for i, label in enumerate(assessment.top)
    ]
    return {"labels": list(assessment.labels), "pictures": pictures}


def picture_rounds(restoration: Restoration, picture: int) -> list[Round]:
    """Return the rounds that one picture of the batch took part in; InputError where there is no such picture."""
    check_picture_index(picture, len(restoration.stopped))
    if restoration.stopped[picture] == "prompt":
        return restoration.rounds
    return [done for done in restoration.rounds if done.labels[picture] is not None]


def check_picture_index(picture: int, count: int) -> None:
    """Raise InputError unless there is a picture of this number, counted from 0."""
    if not 0 <= picture < count:
        raise InputError(f"there is no picture {picture}: the {count} of this batch count from 0")


def rank_probabilities(probabilities: Tensor | None, labels: Sequence[str], picture: int) -> list[tuple[str, float]]:
    """Return one row of probabilities [B, L] with its labels, the most probable first; [] without an assessment."""
    if probabilities is None:
        return []
    return sorted(zip(labels, probabilities[picture].tolist(), strict=True), key=lambda pair: -pair[1])


def percentage(label: str, probability: float, language: str = "en") -> str:
    return f"{label_name(label, language)} {100 * probability:.0f} %"


def winner_text(done: Round, labels: Sequence[str], picture: int, language: str = "en") -> str:
    """Return a round's label with its probability, or that a custom prompt was used."""
    label = done.labels[picture]
    if label is None:
        return phrase(language, "custom prompt")
    return percentage(label, dict(rank_probabilities(done.probabilities, labels, picture))[label], language)


def probabilities_by_label(
    probabilities: Tensor | None, labels: Sequence[str], picture: int, *, exclude: Sequence[str | None] = ()
) -> dict[str, float]:
    """Return one row of probabilities [B, L] by label, the most probable first, without the labels of `exclude`."""
    ranked = rank_probabilities(probabilities, labels, picture)
    return {label: round(p, 6) for label, p in ranked if label not in exclude}
