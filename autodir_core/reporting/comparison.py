"""Compare pictures before and after a restoration: one size, scores, and what to say about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from ..errors import InputError
from ..imaging.filters import resize
from ..imaging.metrics import Scores, score_pictures
from .summary import batch_text

CROP_TOLERANCE = 8
"""Pixels that a picture may lack at a side against another one of its content: upscalers crop to multiples of 8."""


@dataclass(frozen=True)
class Comparison:
    """Pictures before and after, and how near they are to a reference.

    Attributes:
        before: [B, H, W, 3] in the size of `after`.
        after: [B, H, W, 3].
        before_scores: against the reference; None where there is none.
        after_scores: against the reference, or against `before` where there is none.
        note: what was done to the pictures before they were compared, "" for nothing.
    """

    before: Tensor
    after: Tensor
    before_scores: list[Scores] | None
    after_scores: list[Scores]
    note: str = ""

    @property
    def mean(self) -> Scores:
        """The scores of after, averaged over the batch."""
        return Scores(fmean(s.psnr for s in self.after_scores), fmean(s.ssim for s in self.after_scores))

    def lines(self, picture: int) -> list[str]:
        """Return the lines of the report about a picture, counted from 0."""
        if self.before_scores is None:
            return [f"after against before: {self.after_scores[picture]}"]
        return [f"before: {self.before_scores[picture]}", f"after: {self.after_scores[picture]}"]

    def details(self) -> list[tuple[str, str]]:
        """Return for each picture the lines under "before" and "after", for `before_after_slider`."""
        if self.before_scores is None:
            return [("", f"to before: {scores}") for scores in self.after_scores]
        return [(str(before), str(after)) for before, after in zip(self.before_scores, self.after_scores, strict=True)]

    def report(self) -> str:
        """Return the lines of every picture, the mean of a batch, and the note."""
        parts = [batch_text(self.lines, len(self.after_scores))]
        parts += [f"mean of after: {self.mean}"] * (len(self.after_scores) > 1)
        return "\n\n".join([*parts, *filter(None, [self.note])])


def compare(before: Tensor, after: Tensor, reference: Tensor | None = None) -> Comparison:
    """Score pictures before and after a restoration against a reference, or without one against each other.

    Args:
        before: [B or 1, h, w, 3], 0..1; resized to `after` where its size is another one at the same proportions.
        after: [B or 1, H, W, 3].
        reference: [B or 1, H, W, 3]; None scores `after` against `before`.

    Raises InputError where the numbers of pictures or their sizes do not fit.
    """
    before, after, *references = _expand_to_batch([x for x in (before, after, reference) if x is not None])
    _check_sizes(before, after)
    resized = resize(before, *after.shape[1:3])
    note = "" if resized is before else f"before was scaled from {_size(before)} to {_size(resized)} pixels"
    if not references:
        return Comparison(resized, after, None, score_pictures(after, resized), note)
    (clean,) = references
    if clean.shape != after.shape:
        raise InputError(
            f"PSNR and SSIM need a reference of the size of after, got {_size(clean)} and {_size(after)} pixels; scale "
            "one of them"
        )
    return Comparison(resized, after, score_pictures(resized, clean), score_pictures(after, clean), note)


def _expand_to_batch(images: Sequence[Tensor]) -> list[Tensor]:
    """Repeat a single picture for the others."""
    counts = [len(image) for image in images]
    batch = max(counts)
    if any(count not in (1, batch) for count in counts):
        raise InputError(f"before, after and reference need 1 or {batch} pictures, got {', '.join(map(str, counts))}")
    return [image.expand(batch, -1, -1, -1) for image in images]


def _check_sizes(before: Tensor, after: Tensor) -> None:
    """Raise InputError unless before has the proportions of after, up to a crop."""
    sides = list(zip(before.shape[1:3], after.shape[1:3], strict=True))
    if max((b - CROP_TOLERANCE) / a for a, b in sides) > min((b + CROP_TOLERANCE) / a for a, b in sides):
        raise InputError(
            f"before and after must show the same picture at one scale, got {_size(before)} and {_size(after)} "
            "pixels; crop them to one shape"
        )


def _size(images: Tensor) -> str:
    return f"{images.shape[2]} x {images.shape[1]}"
