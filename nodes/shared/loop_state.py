"""What the graph's loop knows about its pictures, and what an assessment or a finished round adds to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...autodir_core.errors import InputError
from ...autodir_core.imaging.filters import resize
from ...autodir_core.labels import CLEAN
from ...autodir_core.loop_policy import decide, is_doubtful, why_stop
from ...autodir_core.model import AutoDIR
from ...autodir_core.pipeline import gathered, spread
from ...autodir_core.settings import Assessment, Restoration, Round
from ...autodir_core.stages.correction import scm_weight
from ..comfy import progress
from . import io


@dataclass(frozen=True)
class Picture:
    """One picture's way through the loop.

    Attributes:
        original: [1, H, W, 3 or 4] as it came to the loop.
        image: [1, H, W, 3 or 4] after its last round.
        remaining: the labels to ask about next.
        rounds: those behind it; a round's `image` is what the user's nodes made, which nothing else is known of.
        label: the degradation to restore in the round under way; None where it waits for an assessment or is finished.
        ended: why its last assessment ended it, "clean" or "unsure"; None while it goes on.
        assessment: its last one, of one picture over the loop's labels, 0 where a label was removed before.
    """

    original: Tensor
    image: Tensor
    remaining: tuple[str, ...]
    rounds: tuple[Round, ...] = ()
    label: str | None = None
    ended: str | None = None
    assessment: Assessment | None = None


@dataclass(frozen=True)
class Loop:
    """What travels as AUTODIR_LOOP.

    Attributes:
        labels: the L labels that the loop looks for.
        pictures: one per picture of the batch.
        values: the two values of the user's, as they came to this round.
        index: number of this round, from 0.
    """

    labels: tuple[str, ...]
    pictures: tuple[Picture, ...]
    values: tuple[Any, Any]
    index: int = 0

    @property
    def under_way(self) -> bool:
        """Whether any picture has something to restore in this round."""
        return any(picture.label is not None for picture in self.pictures)

    @property
    def images(self) -> Tensor:
        """The pictures [B, H, W, 3 or 4] after their last rounds."""
        return torch.cat([picture.image for picture in self.pictures])


def begin(images: Tensor, labels: tuple[str, ...], values: tuple[Any, Any]) -> Loop:
    """A loop over pictures [B, H, W, 3 or 4] before anything was assessed."""
    return Loop(labels, tuple(Picture(image, image, labels) for image in images.split(1)), values)


def assess(autodir: AutoDIR, loop: Loop, view: str) -> Loop:
    """The loop with a decision for every picture that waits for one: each by itself, over its own labels."""
    return replace(loop, pictures=tuple(assess_one(autodir, picture, loop.labels, view) for picture in loop.pictures))


def assess_one(autodir: AutoDIR, picture: Picture, labels: tuple[str, ...], view: str) -> Picture:
    if picture.ended:
        return picture
    progress.raise_if_interrupted()
    colours, _ = io.split_alpha(picture.image)
    assessment = autodir.assess(colours, picture.remaining, view)
    decision = decide(assessment.probabilities[0].tolist(), picture.remaining)
    return replace(
        picture,
        remaining=decision.remaining,
        label=decision.label,
        ended=decision.stopped,
        assessment=Assessment(
            labels, spread(assessment.probabilities, picture.remaining, labels), assessment.embedding
        ),
    )


def doubted(loop: Loop, threshold: float) -> Loop:
    """The loop in which each picture whose degradation is less probable than the threshold is finished, unsure."""
    return replace(
        loop,
        pictures=tuple(
            give_up(picture) if is_doubtful(certainty(picture, loop.labels), threshold) else picture
            for picture in loop.pictures
        ),
    )


def certainty(picture: Picture, labels: tuple[str, ...]) -> float:
    """The probability of the degradation to restore in the round under way; 1 where there is none to doubt."""
    if picture.label is None or picture.assessment is None:
        return 1.0
    return picture.assessment.probabilities[0, labels.index(picture.label)].item()


def give_up(picture: Picture) -> Picture:
    """A picture that its last assessment was too unsure of: finished as it came to the round."""
    return replace(picture, label=None, ended="unsure")


def numbers_of_unsure(loop: Loop) -> str:
    """The pictures that were given up in this round or before, as the next Loop Open takes them: such as "0,2"."""
    return ",".join(str(i) for i, picture in enumerate(loop.pictures) if picture.ended == "unsure")


def without(loop: Loop, unsure: str) -> Loop:
    """The loop in which the pictures of `numbers_of_unsure` are given up."""
    numbers = unsure.split(",")
    pictures = (give_up(picture) if str(i) in numbers else picture for i, picture in enumerate(loop.pictures))
    return replace(loop, pictures=tuple(pictures))


def assessment_of(loop: Loop) -> Assessment:
    """The last assessments of all pictures as one, over the loop's labels."""
    known = [picture.assessment for picture in loop.pictures if picture.assessment is not None]
    return Assessment(
        loop.labels, torch.cat([one.probabilities for one in known]), torch.cat([one.embedding for one in known])
    )


def labels_of(loop: Loop) -> str:
    """The labels that won, separated by commas; "no" for a picture that is finished."""
    return ", ".join(picture.label or CLEAN for picture in loop.pictures)


def weights_of(loop: Loop, autodir: AutoDIR) -> float | list[float]:
    """The correction's weight after the labels that won; a list of one per picture only where they differ."""
    weights = [scm_weight(picture.label, autodir.metadata.scm_weight, None) for picture in loop.pictures]
    counting = {weight for weight, picture in zip(weights, loop.pictures, strict=True) if picture.label is not None}
    return counting.pop() if len(counting) == 1 else weights


def finish_round(loop: Loop, images: Tensor | None, values: tuple[Any, Any]) -> Loop:
    """The loop after the user's nodes made `images` [B, h, w, 3 or 4] of it; a finished picture stays as it is.

    Raises InputError for pictures of another number, or of another shape beside one that is finished.
    """
    if images is None or images.ndim != 4 or len(images) != len(loop.pictures):
        got = "none" if images is None else list(images.shape)
        raise InputError(
            f"the nodes of the loop must give back one picture for each of the {len(loop.pictures)} that went in, got "
            f"{got}; take from a batch and add to it after the loop"
        )
    pictures = tuple(finish_one(*pair) for pair in zip(loop.pictures, images.split(1), strict=True))
    shapes = {tuple(picture.image.shape) for picture in pictures}
    if len(shapes) > 1:
        sizes = " and ".join(f"{width} x {height} x {channels}" for _, height, width, channels in sorted(shapes))
        raise InputError(
            f"some pictures of the batch are finished and others changed their shape ({sizes}); give the loop one "
            "picture at a time, or resize after it"
        )
    return replace(loop, pictures=pictures, values=values, index=loop.index + 1)


def finish_one(picture: Picture, image: Tensor) -> Picture:
    if picture.label is None:
        return picture
    image = keep_alpha(picture.image, image.to(picture.image))
    colours, _ = io.split_alpha(image)
    done = Round((picture.label,), probabilities_of(picture), colours, colours, colours)
    return replace(picture, image=image, label=None, rounds=(*picture.rounds, done))


def probabilities_of(picture: Picture) -> Tensor | None:
    return None if picture.assessment is None else picture.assessment.probabilities


def keep_alpha(before: Tensor, after: Tensor) -> Tensor:
    """A picture [1, h, w, 3] with the alpha it had before the round, scaled where the round changed its size."""
    _, alpha = io.split_alpha(before)
    if alpha is None or after.shape[-1] == 4:
        return after
    return io.with_alpha(after, resize(alpha, after.shape[1], after.shape[2], mode="bilinear"))


def is_last(loop: Loop, max_rounds: int) -> bool:
    """Whether no picture is assessed again after the round under way."""
    going_on = [picture for picture in loop.pictures if picture.label is not None]
    return all(why_stop(loop.index + 1, max_rounds, picture.remaining) for picture in going_on)


def stop_reason(picture: Picture, max_rounds: int) -> str:
    """Why a picture is assessed no more, as in `Restoration`; empty while it goes on."""
    return picture.ended or why_stop(len(picture.rounds), max_rounds, picture.remaining) or ""


def restoration(loop: Loop, max_rounds: int) -> Restoration:
    """The finished loop as the record that reports are made from; pictures without alpha."""
    return gathered(
        [
            Restoration(
                io.split_alpha(picture.image)[0],
                list(picture.rounds),
                (stop_reason(picture, max_rounds),),
                loop.labels,
                probabilities_of(picture),
            )
            for picture in loop.pictures
        ]
    )


def all_pictures(loop: Loop, done: Restoration) -> Tensor:
    """The input and the pictures after each round, [(rounds + 1) * B, H, W, 3], in the size of the last round."""
    before, _ = io.split_alpha(torch.cat([picture.original for picture in loop.pictures]))
    height, width = done.image.shape[1:3]
    return torch.cat(
        [resize(images, height, width, mode="bilinear") for images in (before, *(row.image for row in done.rounds))]
    )
