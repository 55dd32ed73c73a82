"""The loop's decisions as pure functions: the headless loop and the graph's loop both ask here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .labels import CLEAN


@dataclass(frozen=True)
class Decision:
    """What an assessment leads to.

    Attributes:
        label: the degradation to restore in this round; None when the loop ends here.
        remaining: the labels to ask about in the next round.
        stopped: why the loop ends here, "clean" or "unsure"; None while it goes on.
    """

    label: str | None
    remaining: tuple[str, ...]
    stopped: str | None = None


def decide(probabilities: Sequence[float], labels: Sequence[str], threshold: float = 0.0) -> Decision:
    """The most probable label wins and is asked about no more; "no" ends the loop (official `sample` script).

    Args:
        probabilities: one per label.
        labels: those that were asked about, at least one.
        threshold: a degradation that is less probable ends the loop too; the official script has none, which is 0.
    """
    probability, winner = max(zip(probabilities, labels, strict=True), key=lambda pair: pair[0])
    if winner == CLEAN:
        return Decision(None, tuple(labels), "clean")
    if is_doubtful(probability, threshold):
        return Decision(None, tuple(labels), "unsure")
    return Decision(winner, tuple(label for label in labels if label != winner))


def is_doubtful(probability: float, threshold: float) -> bool:
    """Whether a degradation that won is too improbable to be restored; one exactly at the threshold is not."""
    return probability < threshold


def why_stop(rounds_done: int, max_rounds: int, remaining: Sequence[str]) -> str | None:
    """Why no further assessment follows, "max_rounds" or "no_labels"; None while the loop goes on."""
    if rounds_done >= max_rounds:
        return "max_rounds"
    return None if remaining else "no_labels"
