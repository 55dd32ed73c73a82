"""Pictures of an evaluation: one strip per case, and the sheet of those that went worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from autodir_core.imaging.files import read_picture
from autodir_core.labels import CLEAN
from autodir_core.reporting.montage import sheet

from .measure import Pictures
from .sample_result import Case

WORST = 24
"""Cases on the sheet."""


def strip(pictures: Pictures) -> Tensor:
    """Input, result and, where there is one, truth side by side: [1, H, 2 W or 3 W, 3] in 0..1."""
    shown = [pictures.degraded, pictures.restored, *([] if pictures.clean is None else [pictures.clean])]
    return torch.cat([picture.clamp(0, 1) for picture in shown], dim=2)


def worst(cases: Sequence[Case], count: int = WORST) -> list[Case]:
    """The cases that gained least or, without a truth, changed most, the worst first; clean photos are left out."""
    told = [case for case in cases if case.labels != (CLEAN,)]
    return sorted(told, key=lambda case: (case.gain, -case.change))[:count]


def worst_sheet(cases: Sequence[Case], picture: Callable[[Case], Path]) -> Tensor:
    """Before and after of each case with its numbers: [1, h, w, 3] in 0..1.

    Args:
        cases: one or more.
        picture: where a case's strip is.
    """
    pairs = [halves(read_picture(picture(case)).image, parts(case)) for case in cases]
    return sheet([pair[0] for pair in pairs], [pair[1] for pair in pairs], [caption(case) for case in cases])


def parts(case: Case) -> int:
    """How many pictures a case's strip shows."""
    return 3 if case.before else 2


def halves(image: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Input and result of a strip of `count` pictures."""
    width = image.shape[2] // count
    return image[:, :, :width], image[:, :, width : 2 * width]


def caption(case: Case) -> str:
    """A case's name and what came of it."""
    name = f"{case.photo}, {case.label or case.seen}"
    return f"{name}: {case.gain:+.1f} dB" if case.before else f"{name}: changed by {case.change:.1f}"
