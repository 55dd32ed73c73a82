"""Frames averaged in time: what flickers is, what does not stays as it is, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from autodir_core.imaging.metrics import psnr

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")

from autodir_core.imaging.temporal import RADIUS, blend_in_time  # noqa: E402

SIZE, FRAMES = (72, 96), 7


def pan(step: float) -> list[Tensor]:
    """A wavy texture under a camera that moves to the right."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    frames = []
    for number in range(FRAMES):
        at = x + step * number
        waves = [0.5 + 0.2 * np.sin(at / a) + 0.2 * np.sin(y / b + at / 17) for a, b in ((5, 7), (7, 5), (11, 6))]
        frames.append(torch.from_numpy(np.stack(waves, -1))[None])
    return frames


def noisy(frames: list[Tensor], amount: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [(frame + amount * torch.randn(frame.shape, generator=generator)).clamp(0, 1) for frame in frames]


@pytest.mark.parametrize("step", [0.0, 1.5])
def test_what_flickers_is_averaged(step: float) -> None:
    clean = pan(step)
    degraded, restored = noisy(clean, 0.1), noisy(clean, 0.03)
    blended = list(blend_in_time(zip(degraded, restored, strict=True)))
    assert len(blended) == FRAMES
    for one, before, after in zip(clean, restored, blended, strict=True):
        assert psnr(after, one) > psnr(before, one) + 2


def test_what_does_not_flicker_stays_to_the_bit() -> None:
    """Sharpened frames of a steady clip: an average of them would be softer."""
    steady = pan(1.5)
    sharp = [(frame * 1.5 - 0.25).clamp(0, 1) for frame in steady]
    inner = (slice(None), slice(12, -12), slice(12, -12))
    for before, after in zip(sharp, blend_in_time(zip(steady, sharp, strict=True)), strict=True):
        assert torch.equal(before[inner], after[inner])


def test_what_disagrees_is_not_averaged() -> None:
    """A cut that nobody found: the frames of another scene have no say."""
    scenes = [torch.zeros(1, *SIZE, 3)] * 3 + [torch.ones(1, *SIZE, 3)] * 3
    for before, after in zip(scenes, blend_in_time(zip(scenes, scenes, strict=True)), strict=True):
        torch.testing.assert_close(before, after, atol=1e-6, rtol=0)


def test_threads_change_no_bit() -> None:
    frames = noisy(pan(1.5), 0.1)
    pairs, threads, found = list(zip(frames, frames, strict=True)), cv2.getNumThreads(), []
    for count in (1, 3):
        cv2.setNumThreads(count)
        found.append(list(blend_in_time(pairs)))
        assert cv2.getNumThreads() == count
    cv2.setNumThreads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_the_smallest_frames_stay_as_they_are() -> None:
    frames = [torch.rand(1, 8, 8, 3) for _ in range(3)]
    blended = list(blend_in_time(zip(frames, frames, strict=True)))
    assert all(torch.equal(one, other) for one, other in zip(frames, blended, strict=True))


@pytest.mark.parametrize("count", [0, 1, RADIUS, 2 * RADIUS + 1])
def test_of_any_number_of_frames_as_many_come_out(count: int) -> None:
    frames = noisy(pan(1.0), 0.1)[:count]
    assert len(list(blend_in_time(zip(frames, frames, strict=True)))) == count


def test_the_end_of_a_shot_is_that_of_the_whole_shot() -> None:
    """A film that goes on after an interruption restores the last `RADIUS` frames before it again."""
    frames = noisy(pan(1.5), 0.1)
    whole = list(blend_in_time(zip(frames, frames, strict=True)))
    rest = list(blend_in_time(zip(frames[1:], frames[1:], strict=True)))
    assert all(torch.equal(one, other) for one, other in zip(whole[1 + RADIUS :], rest[RADIUS:], strict=True))
