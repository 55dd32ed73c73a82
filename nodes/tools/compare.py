"""AutoDIR Compare: before and after with a movable bar, and their distance to a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from torch import Tensor

from ...autodir_core.errors import InputError
from ...autodir_core.imaging.filters import resize
from ...autodir_core.imaging.layout import pad_to_size
from ...autodir_core.imaging.metrics import WINDOW, psnr, ssim
from ...autodir_core.reporting.before_after import slider
from ...autodir_core.reporting.summary import batch_text
from ..comfy import devices, folders
from ..shared import io

CROPPED = 8
"""Pixels that a picture may lack at a side beside another one of its content: upscalers crop to multiples of 8."""


@dataclass(frozen=True)
class Scores:
    """How near one picture is to another: PSNR in dB, at most 100, and SSIM, at most 1."""

    psnr: float
    ssim: float

    def __str__(self) -> str:
        return f"PSNR {self.psnr:.2f} dB, SSIM {self.ssim:.4f}"


@dataclass(frozen=True)
class Comparison:
    """Scores of each picture: of after, and of before too where there is a reference to score it against."""

    after: list[Scores]
    before: list[Scores] | None

    def lines(self, picture: int) -> list[str]:
        """What is to say about a picture, counted from 0."""
        if self.before is None:
            return [f"after against before: {self.after[picture]}"]
        return [f"before: {self.before[picture]}", f"after: {self.after[picture]}"]

    def details(self, picture: int) -> tuple[str, str]:
        """The lines under the captions of a picture."""
        if self.before is None:
            return "", f"to before: {self.after[picture]}"
        return str(self.before[picture]), str(self.after[picture])

    def report(self) -> str:
        """The lines of every picture, and the mean of a batch."""
        text = batch_text(self.lines, len(self.after))
        return text if len(self.after) == 1 else f"{text}\n\nmean of after: {self.mean()}"

    def mean(self) -> Scores:
        """The scores of after, averaged over the batch."""
        return Scores(fmean(s.psnr for s in self.after), fmean(s.ssim for s in self.after))


class AutoDIRCompare:
    DISPLAY_NAME = "AutoDIR Compare"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Shows pictures before and after with a movable bar, and measures how near they are to a reference, or to each "
        "other without one."
    )
    SEARCH_ALIASES = ["before after slider", "PSNR", "SSIM", "image quality metrics", "image compare"]
    RETURN_TYPES = ("IMAGE", "FLOAT", "FLOAT", "STRING")
    RETURN_NAMES = ("comparison", "psnr", "ssim", "report")
    OUTPUT_TOOLTIPS = (
        "Left of the bar before, right of it after, with captions below; one per picture.",
        "Peak signal to noise ratio of after in dB, at most 100, the mean over the batch.",
        "Structural similarity of after, at most 1, the mean over the batch. Pictures of under 11 pixels a side are "
        "extended by reflection for it.",
        "The values of every picture, and their mean for a batch.",
    )
    FUNCTION = "compare"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "before": (
                    "IMAGE",
                    {"tooltip": "The degraded pictures, scaled to after where that is larger; alpha is ignored."},
                ),
                "after": ("IMAGE", {"tooltip": "The restored pictures; alpha is ignored."}),
                "position": (
                    "FLOAT",
                    {
                        "default": 0.5,
                        "min": 0.0,
                        "max": 1.0,
                        "step": 0.01,
                        "tooltip": "Position of the bar: the fraction of the width that shows before.",
                    },
                ),
            },
            "optional": {
                "reference": (
                    "IMAGE",
                    {
                        "tooltip": "The clean pictures, of the size of after: PSNR and SSIM are measured against them. "
                        "Without them after is measured against before.",
                        "old_names": ["truth"],
                    },
                ),
            },
        }

    def compare(
        self, before: Tensor, after: Tensor, position: float, reference: Tensor | None = None
    ) -> dict[str, Any]:
        degraded, restored, *clean = same_batch([image for image in (before, after, reference) if image is not None])
        check_sizes(degraded, restored, *clean)
        drawn = resize(degraded, *restored.shape[1:3])
        scores = comparison(drawn, restored, *clean)
        image = slider(drawn, restored, [scores.details(i) for i in range(len(restored))], position=position)
        mean, report = scores.mean(), scores.report()
        if drawn is not degraded:
            report += f"\n\nbefore was scaled from {size_of(degraded)} to {size_of(drawn)} pixels"
        shown = {"images": folders.save_previews(image), "text": [report]}
        return {"ui": shown, "result": (image.to(devices.intermediate_device()), mean.psnr, mean.ssim, report)}


def comparison(before: Tensor, after: Tensor, reference: Tensor | None = None) -> Comparison:
    """The scores of pictures [B, H, W, 3] of one shape."""
    if reference is None:
        return Comparison(scores_of(after, before), None)
    return Comparison(scores_of(after, reference), scores_of(before, reference))


def scores_of(images: Tensor, reference: Tensor) -> list[Scores]:
    """The scores of each picture of [B, H, W, 3] against that of `reference`."""
    pairs = zip(images.split(1), reference.split(1), strict=True)
    return [Scores(psnr(a, b), ssim(pad_to_size(a, WINDOW), pad_to_size(b, WINDOW))) for a, b in pairs]


def same_batch(images: Sequence[Tensor]) -> list[Tensor]:
    """The colours of each, with a picture that comes alone repeated for the others."""
    counts = [len(image) for image in images]
    batch = max(counts)
    if any(count not in (1, batch) for count in counts):
        raise InputError(f"before, after and reference need 1 or {batch} pictures, got {', '.join(map(str, counts))}")
    return [io.split_alpha(image)[0].expand(batch, -1, -1, -1) for image in images]


def check_sizes(before: Tensor, after: Tensor, reference: Tensor | None = None) -> None:
    """Raise InputError unless before has the shape of after at some scale, and the reference its size."""
    sides = list(zip(before.shape[1:3], after.shape[1:3], strict=True))
    if max((b - CROPPED) / a for a, b in sides) > min((b + CROPPED) / a for a, b in sides):
        raise InputError(
            f"before and after must show the same picture at one scale, got {size_of(before)} and {size_of(after)} "
            "pixels; crop them to one shape"
        )
    if reference is not None and reference.shape != after.shape:
        raise InputError(
            f"PSNR and SSIM need a reference of the size of after, got {size_of(reference)} and {size_of(after)} "
            "pixels; scale one of them"
        )


def size_of(images: Tensor) -> str:
    return f"{images.shape[2]} x {images.shape[1]}"
