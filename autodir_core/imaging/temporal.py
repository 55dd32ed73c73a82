"""Frames of a film compared in time: cuts found, and neighbors averaged along the motion where the film flickers.

Imported on use: it needs OpenCV.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..optional_imports import optional_import
from .layout import to_uint8

with optional_import("cv2", "leave films out"):
    import cv2

RADIUS = 2
"""Frames before and after one that it is averaged with."""

SMALLEST = 16
"""Pixels a side, below which there is no flow to be found and frames stay as they are."""

AGREEMENT = 0.08
"""Mean difference of the colors of two restored frames at which a neighbor counts a third (1/e), 0..1."""

STRAY = 0.6
"""The same of the flow: square pixels between a place and where it comes back to, there and back again."""

FLICKER = (0.02, 0.04)
"""Mean difference of the colors of two degraded frames up to which nothing is averaged, and from which all is."""

AGREEMENT_SIGMA, FLICKER_SIGMA = 2.0, 4.0
"""Pixels of the Gaussian windows that these differences are means over."""

STEADY_RADIUS = 2
"""Frames before and after one that it is the median with, to find cuts: flashes, noise and rain do not last as long."""

FLATTEST = 4.0
"""Least contrast, in levels of 255, that a thumbnail is divided by: what is left of noise on black is no content."""

CUT, CUT_RATIO, CUT_RADIUS = 0.3, 2.0, 3
"""Change, in contrasts, of what may be a cut, and by how much it exceeds those of so many frames before and after it.

Cuts have 0.55 and more, in noise and rain of any severity too; motion has up to 0.5, but frame after frame.
"""


@dataclass(frozen=True)
class Moment:
    """A frame: degraded and restored [H, W, 3] in 0..1, the latter as 8-bit gray too, for the flow."""

    degraded: np.ndarray
    restored: np.ndarray
    gray: np.ndarray

    @classmethod
    def of(cls, degraded: Tensor, restored: Tensor) -> Moment:
        gray = cv2.cvtColor(to_uint8(restored[0]).numpy(), cv2.COLOR_RGB2GRAY)
        return cls(degraded[0].numpy(), restored[0].numpy(), gray)


class Flows:
    """The optical flow between frames by their numbers (DIS, Kroeger et al. 2016), each computed once."""

    def __init__(self, moments: dict[int, Moment]) -> None:
        self.moments = moments
        self.method: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.known: dict[tuple[int, int], np.ndarray] = {}

    def between(self, one: int, other: int) -> np.ndarray:
        """Return [H, W, 2], where each pixel of `one` is in `other`, as an offset in x and y."""
        if (one, other) not in self.known:
            threads = cv2.getNumThreads()
            cv2.setNumThreads(1)  # its stripes, one a thread, change the result
            frames = self.moments[one].gray, self.moments[other].gray
            self.known[one, other] = self.method.calc(*frames, None)
            cv2.setNumThreads(threads)
        return self.known[one, other]

    def forget(self, number: int) -> None:
        self.moments.pop(number, None)
        self.known = {pair: flow for pair, flow in self.known.items() if number not in pair}


def blend_in_time(frames: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
    """Yield the restored frames of a shot, each averaged with its neighbors.

    Restoring frame by frame leaves what changes from frame to frame, as noise and rain do. What stands still or moves,
    degraded or not, is left as it is: only where the degraded frames differ along the flow are the restored ones
    averaged, and only as far as these agree.

    Args:
        frames: each degraded and restored, both [1, H, W, 3] in 0..1, on the CPU.
    """
    flows, newest = Flows({}), -1
    for newest, (degraded, restored) in enumerate(frames):
        flows.moments[newest] = Moment.of(degraded, restored)
        if newest >= RADIUS:
            yield average(newest - RADIUS, flows)
            flows.forget(newest - 2 * RADIUS)
    for number in range(max(newest - RADIUS + 1, 0), newest + 1):
        yield average(number, flows)


def average(number: int, flows: Flows) -> Tensor:
    """Return a frame averaged with those around it, [1, H, W, 3]."""
    own = flows.moments[number]
    if min(own.gray.shape) < SMALLEST:
        return torch.from_numpy(own.restored)[None]
    total, weights = own.restored.copy(), np.ones((*own.gray.shape, 1), np.float32)
    for other in range(number - RADIUS, number + RADIUS + 1):
        if other != number and other in flows.moments:
            there, back = flows.between(number, other), flows.between(other, number)
            restored = warp(flows.moments[other].restored, there)
            degraded = warp(flows.moments[other].degraded, there)
            weight = agreement(own.restored, restored) * flicker(own.degraded, degraded) * steadiness(there, back)
            total += weight * restored
            weights += weight
    return torch.from_numpy(total / weights)[None]


def warp(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return [H, W, C] as it is at the places that a flow leads to."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(values, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def agreement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return where two restored frames show the same, [H, W, 1] in 0..1."""
    return np.exp(-np.square(local_difference(one, other, AGREEMENT_SIGMA) / AGREEMENT))


def flicker(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return where two degraded frames differ, [H, W, 1] in 0..1."""
    low, high = FLICKER
    return ((local_difference(one, other, FLICKER_SIGMA) - low) / (high - low)).clip(0, 1)


def steadiness(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return where a flow leads back to where it came from, [H, W, 1] in 0..1."""
    return np.exp(-np.square(there + warp(back, there)).sum(-1, keepdims=True) / STRAY)


def local_difference(one: np.ndarray, other: np.ndarray, sigma: float) -> np.ndarray:
    """Return the mean absolute difference of the colors around each pixel, [H, W, 1]."""
    return cv2.GaussianBlur(np.abs(one - other).mean(-1), (0, 0), sigma)[..., None]


def measure_changes(thumbnails: Iterable[np.ndarray]) -> list[float]:
    """Return how far each frame differs from the one before it, 0 for the first.

    As far as its content goes: brightness, contrast and tint do not count, which lightning and heavy rain change.

    Args:
        thumbnails: the frames, reduced by area so far that noise averages out, [H, W, 3] of 8 bits.
    """
    steady = steady_frames(normalize_contrast(one) for one in thumbnails)
    return [0.0, *(float(np.abs(one - other).mean()) for one, other in pairwise(steady))]


def find_cuts(changes: Sequence[float]) -> list[int]:
    """Return the first frame of each shot but the first, of `measure_changes`; the last frame alone is no shot."""

    def least(number: int) -> float:
        around = [*changes[max(number - CUT_RADIUS, 0) : number], *changes[number + 1 : number + CUT_RADIUS + 1]]
        return max(CUT, CUT_RATIO * max(around))

    return [number for number in range(2, len(changes) - 1) if changes[number] >= least(number)]


def normalize_contrast(thumbnail: np.ndarray) -> np.ndarray:
    """Return a thumbnail with the mean 0 in each color, and the standard deviation 1 unless it is flat."""
    values = thumbnail.astype(np.float32)
    values -= values.mean((0, 1))
    return values / max(float(values.std()), FLATTEST)


def steady_frames(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the median of each frame and its neighbors, which moves no cut; the first and the last are repeated."""
    near: deque[np.ndarray] = deque(maxlen=2 * STEADY_RADIUS + 1)
    for frame in frames:
        near.extend([frame] * (1 if near else STEADY_RADIUS + 1))
        if len(near) == near.maxlen:
            yield np.median(near, axis=0)
    for _ in range(STEADY_RADIUS if near else 0):
        near.append(near[-1])
        if len(near) == near.maxlen:
            yield np.median(near, axis=0)
