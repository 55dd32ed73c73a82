"""What is known of one measured picture: the records that files and tables are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autodir_core.labels import CLEAN

Key = tuple[str, int | None, tuple[str, ...]]
JOIN = " + "
"""Between the names of a mixture."""


@dataclass(frozen=True)
class Quality:
    """How near a picture is to the truth: PSNR in dB, SSIM, and LPIPS (smaller is nearer) where it was measured."""

    psnr: float
    ssim: float
    lpips: float | None = None


@dataclass(frozen=True)
class Case:
    """One picture: what was done to it, what was seen, and what came of it.

    Attributes:
        photo: its name.
        crop: which part of the photo, from 0; None where it was not cut out of one.
        labels: what was done to it, `("no",)` for a clean one; empty where that is not known.
        severity: of what was done, 0..1; None where it is not known.
        seen: the top label of the first assessment.
        probability: of `seen`, 0..1.
        rounds: the label of each round.
        stopped: why the loop ended; empty where nothing was restored.
        change: mean absolute difference between input and result, in levels of 255.
        before, after: quality of input and result; None without a truth.
        rounds_psnr: PSNR after each round; empty without a truth.
        baselines: quality of the classical methods by name.
        seconds: that assessment and restoration took.
    """

    photo: str
    crop: int | None
    labels: tuple[str, ...]
    severity: float | None
    seen: str
    probability: float
    rounds: tuple[str, ...] = ()
    stopped: str = ""
    change: float = 0.0
    before: Quality | None = None
    after: Quality | None = None
    rounds_psnr: tuple[float, ...] = ()
    baselines: Mapping[str, Quality] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)

    @property
    def key(self) -> Key:
        """What no other case of a run has."""
        return self.photo, self.crop, self.labels

    @property
    def label(self) -> str:
        """What was done, in words; empty where it is not known."""
        return JOIN.join(self.labels)

    @property
    def single(self) -> bool:
        """Whether exactly one degradation was put on it."""
        return len(self.labels) == 1 and self.labels != (CLEAN,)

    @property
    def gain(self) -> float:
        """PSNR after minus before in dB; 0 without a truth."""
        return self.after.psnr - self.before.psnr if self.before and self.after else 0.0


def case_from_json(told: Mapping[str, Any]) -> Case:
    """The case that `dataclasses.asdict` and JSON made `told` of."""
    return Case(
        photo=told["photo"],
        crop=told["crop"],
        labels=tuple(told["labels"]),
        severity=told["severity"],
        seen=told["seen"],
        probability=told["probability"],
        rounds=tuple(told["rounds"]),
        stopped=told["stopped"],
        change=told["change"],
        before=Quality(**told["before"]) if told["before"] else None,
        after=Quality(**told["after"]) if told["after"] else None,
        rounds_psnr=tuple(told["rounds_psnr"]),
        baselines={name: Quality(**quality) for name, quality in told["baselines"].items()},
        seconds=told["seconds"],
    )
