"""The measurements of one sample, which files and tables are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autodir_core.imaging.metrics import MAX_PSNR
from autodir_core.labels import CLEAN

from .protocol import SEPARATOR


@dataclass(frozen=True)
class Quality:
    """Distances to the reference: PSNR in dB, SSIM, and LPIPS (lower is better) where it was measured."""

    psnr: float
    ssim: float
    lpips: float | None = None


@dataclass(frozen=True)
class SampleInfo:
    """What a sample is.

    Attributes:
        photo: its name.
        crop: number of the crop of the photo, from 0; None for a whole picture.
        labels: ground-truth labels, `("no",)` for a clean crop; empty where they are unknown.
        severity: of the degradations, 0..1; None where it is unknown.
    """

    photo: str
    crop: int | None
    labels: tuple[str, ...]
    severity: float | None

    @property
    def key(self) -> tuple[str, int | None, tuple[str, ...]]:
        """Photo, crop and labels, unique within a run."""
        return self.photo, self.crop, self.labels


@dataclass(frozen=True)
class SampleResult(SampleInfo):
    """One sample: its ground truth, the prediction, and the restoration's outcome.

    Attributes:
        kinds: of the degradations, in the order of the labels; empty where they are unknown.
        predicted: the top label of the first assessment.
        probability: of `predicted`, 0..1.
        rounds: the label of each round, of those that were accepted where there is a gate.
        refused: label and reason of each round that the gate refused.
        stopped: why the loop ended; empty where nothing was restored.
        mean_abs_diff: between input and result, in levels of 255.
        before, after: quality of input and result; None without a reference.
        psnr_per_round: PSNR in dB after each of `rounds`; empty without a reference.
        baselines: quality of the classical methods by name.
        seconds: that assessment and restoration took.
    """

    predicted: str
    probability: float
    kinds: tuple[str, ...] = ()
    rounds: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    stopped: str = ""
    mean_abs_diff: float = 0.0
    before: Quality | None = None
    after: Quality | None = None
    psnr_per_round: tuple[float, ...] = ()
    baselines: Mapping[str, Quality] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)

    @property
    def ground_truth(self) -> str:
        """The ground-truth labels in one text; empty where they are unknown."""
        return SEPARATOR.join(self.labels)

    @property
    def single_degradation(self) -> bool:
        """Whether it has exactly one degradation."""
        return len(self.labels) == 1 and self.labels != (CLEAN,)

    @property
    def is_own_reference(self) -> bool:
        """Whether it is a clean photo that is compared with itself, whose PSNR before is infinite."""
        return self.labels == (CLEAN,) and self.before is not None and self.before.psnr >= MAX_PSNR

    @property
    def gain(self) -> float:
        """PSNR after minus before in dB; 0 without a reference."""
        return self.after.psnr - self.before.psnr if self.before and self.after else 0.0
