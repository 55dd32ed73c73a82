"""Scores before and after, against a reference or against each other."""

from __future__ import annotations

import pytest
import torch

from autodir_core.errors import InputError
from autodir_core.reporting.comparison import compare

CLEAN = torch.rand(1, 30, 40, 3, generator=torch.Generator().manual_seed(3)) * 0.5 + 0.2


def test_against_a_reference():
    """An offset of 0.1 has a PSNR of 20 dB, one of 0.01 of 40 dB."""
    found = compare(CLEAN + 0.1, CLEAN + 0.01, CLEAN)
    assert found.before_scores and found.before_scores[0].psnr == pytest.approx(20, abs=1e-3)
    assert found.mean.psnr == pytest.approx(40, abs=1e-3) and 0.99 < found.mean.ssim < 1
    before, after = found.report().splitlines()
    assert before.startswith("before: PSNR 20.00 dB") and after.startswith("after: PSNR 40.00 dB")
    assert found.details() == [(before.removeprefix("before: "), after.removeprefix("after: "))]


def test_against_each_other():
    found = compare(CLEAN, CLEAN)
    assert found.report() == "after against before: PSNR 100.00 dB, SSIM 1.0000"
    assert found.details() == [("", "to before: PSNR 100.00 dB, SSIM 1.0000")]


def test_a_batch_has_one_part_each_and_the_mean():
    report = compare(CLEAN, torch.cat([CLEAN + 0.1, CLEAN + 0.01]), CLEAN).report()
    assert report.startswith("picture 1\nbefore: PSNR 100.00 dB") and "\n\npicture 2\n" in report
    assert report.splitlines()[-1].startswith("mean of after: PSNR 30.00 dB")


def test_before_takes_the_size_of_after():
    found = compare(CLEAN, torch.rand(1, 60, 80, 3))
    assert found.before.shape == found.after.shape
    assert found.report().endswith("before was scaled from 40 x 30 to 80 x 60 pixels")


@pytest.mark.parametrize(
    ("after", "reference", "message"),
    [
        ((1, 25, 60, 3), None, "at one scale, got 40 x 30 and 60 x 25 pixels"),
        ((1, 60, 80, 3), (1, 30, 40, 3), "a reference of the size of after, got 40 x 30 and 80 x 60 pixels"),
        ((2, 30, 40, 3), (3, 30, 40, 3), "need 1 or 3 pictures, got 1, 2, 3"),
    ],
)
def test_what_does_not_fit(after, reference, message):
    with pytest.raises(InputError, match=message):
        compare(CLEAN, torch.zeros(after), None if reference is None else torch.zeros(reference))
