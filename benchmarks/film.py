"""What restoring a film gives: distance to the clean clip and flicker, frame by frame and averaged in time.

    python benchmarks/film.py CLIP... [--frames 8] [--first 40] [--size 192 256] [--preset fast]

Of each clip some frames are cut out of the middle of the picture and degraded: by noise and rain anew for each frame,
as in a film, by all else alike. Each is restored by one decision without the quality gate, told the label.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

import autodir_core as ad  # noqa: E402
from autodir_core.batch.films import shots  # noqa: E402
from autodir_core.batch.films.film import read_frames  # noqa: E402
from autodir_core.degrade import degrade  # noqa: E402
from autodir_core.imaging.layout import to_uint8  # noqa: E402
from autodir_core.imaging.metrics import psnr  # noqa: E402
from autodir_core.imaging.temporal import blend_in_time  # noqa: E402
from autodir_core.pipeline import repeat_rounds  # noqa: E402

FLICKERING = frozenset({"noise", "rain"})
CASES = (
    *(("noise", 0.5), ("noise", 0.15), ("rain", 0.5), ("raindrop", 0.5), ("haze", 0.5)),
    *(("underexposure", 0.5), ("blur", 0.5), ("low resolution", 0.5)),
)
"""Labels and severities."""

RETURNED = 0.5
"""Square pixels that a flow may miss its start by, there and back again, where it counts."""


def warping_error(frames: Sequence[Tensor], clean: Sequence[Tensor]) -> float:
    """Mean absolute difference of each frame to the next one warped back along the flow of the clean frames.

    Lai et al., Learning Blind Video Temporal Consistency (ECCV 2018), section 4.1, with Farneback's flow; places whose
    flow does not lead back to them are left out.
    """
    gray = [cv2.cvtColor(to_uint8(frame[0]).numpy(), cv2.COLOR_RGB2GRAY) for frame in clean]
    height, width = gray[0].shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    errors = []
    for number in range(len(frames) - 1):
        there, back = (
            cv2.calcOpticalFlowFarneback(gray[a], gray[b], None, 0.5, 3, 15, 3, 7, 1.5, 0)
            for a, b in ((number, number + 1), (number + 1, number))
        )
        at = x + there[..., 0], y + there[..., 1]
        inside = (at[0] >= 0) & (at[0] < width - 1) & (at[1] >= 0) & (at[1] < height - 1)
        missed = np.square(there + cv2.remap(back, *at, cv2.INTER_LINEAR)).sum(-1)
        warped = cv2.remap(frames[number + 1][0].numpy(), *at, cv2.INTER_LINEAR)
        errors.append(np.abs(warped - frames[number][0].numpy())[inside & (missed < RETURNED)].mean())
    return float(np.mean(errors))


def cut(path: Path, given: argparse.Namespace) -> list[Tensor]:
    """Return the middle of some frames."""
    height, width = given.size
    frames = [image for _, image in islice(read_frames(path), given.first, given.first + given.frames)]
    top, left = ((side - own) // 2 for side, own in zip(frames[0].shape[1:3], (height, width), strict=True))
    top, left = max(top, 0), max(left, 0)
    return [frame[:, top : top + height, left : left + width].contiguous() for frame in frames]


def restore_clip(model: ad.AutoDIR, damaged: Sequence[Tensor], label: str, preset: str) -> list[Tensor]:
    loop, sampler = ad.preset(preset)
    loop = replace(loop, labels=[label], max_rounds=1, gate=False)
    decision = shots.decide(model, damaged, loop, sampler)
    return [repeat_rounds(model, frame, decision.rounds, loop, sampler).clamp(0, 1) for frame in damaged]


def closeness(frames: Sequence[Tensor], clean: Sequence[Tensor]) -> float:
    """Mean PSNR in dB."""
    return float(np.mean([psnr(one, other) for one, other in zip(frames, clean, strict=True)]))


def measure(model: ad.AutoDIR, path: Path, given: argparse.Namespace) -> None:
    clean = cut(path, given)
    print(f"{path.name}: warping error of the clean clip {warping_error(clean, clean):.4f}", flush=True)
    for label, severity in CASES:
        seeds = range(len(clean)) if label in FLICKERING else [0] * len(clean)
        damaged = [degrade(one, label, severity=severity, seed=seed) for one, seed in zip(clean, seeds, strict=True)]
        alone = restore_clip(model, damaged, label, given.preset)
        averaged = list(blend_in_time(zip(damaged, alone, strict=True)))
        clips = damaged, alone, averaged
        figures = [f"{closeness(some, clean):.2f} dB {warping_error(some, clean):.4f}" for some in clips]
        print(f"{label} {severity}: " + ", ".join(figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--first", type=int, default=40)
    parser.add_argument("--size", type=int, nargs=2, default=(192, 256), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--preset", choices=("best", "fast"), default="fast")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = ad.load_autodir(device="cpu")
    for path in given.clips:
        measure(model, path, given)


if __name__ == "__main__":
    main()
