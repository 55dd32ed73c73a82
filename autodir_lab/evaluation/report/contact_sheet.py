"""A contact sheet of the samples with the least gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from autodir_core.imaging.files import read_picture
from autodir_core.labels import CLEAN
from autodir_core.reporting.montage import contact_sheet

from ..sample_result import SampleResult

WORST_COUNT = 24
"""Samples on the sheet."""


def rank_by_gain(results: Sequence[SampleResult]) -> list[SampleResult]:
    """Sort from the least PSNR gain or, without a reference, from the largest difference."""
    return sorted(results, key=lambda result: (result.gain, -result.mean_abs_diff))


def worst_results(results: Sequence[SampleResult], count: int = WORST_COUNT) -> list[SampleResult]:
    """Return the results with the least gain, the worst first, without clean photos."""
    return rank_by_gain([result for result in results if result.labels != (CLEAN,)])[:count]


def draw_contact_sheet(results: Sequence[SampleResult], image_path: Callable[[SampleResult], Path]) -> Tensor:
    """Draw before and after of each sample with its numbers: [1, h, w, 3] in 0..1.

    Args:
        results: one or more.
        image_path: of a sample's side-by-side images.
    """
    before, after = zip(*(read_before_after(result, image_path(result)) for result in results), strict=True)
    return contact_sheet(before, after, [caption(result) for result in results])


def read_before_after(result: SampleResult, path: Path) -> tuple[Tensor, Tensor]:
    """Read input and result [1, H, W, 3] of a sample's side-by-side images."""
    input_image, restored, *_ = read_picture(path).image.chunk(3 if result.before else 2, dim=2)
    return input_image, restored


def caption(result: SampleResult) -> str:
    """Name a sample and its gain."""
    name = f"{result.photo}, {result.ground_truth or result.predicted}"
    return f"{name}: {result.gain:+.1f} dB" if result.before else f"{name}: changed by {result.mean_abs_diff:.1f}"
