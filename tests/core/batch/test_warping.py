"""A moving clip: what the restoration changes from frame to frame, measured along the optical flow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import autodir_core as ad
from autodir_core.degrade import degrade
from autodir_core.pipeline import repeat_rounds

data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
pytest.importorskip("av", reason="PyAV is not installed")

from autodir_core.batch.films import shots  # noqa: E402
from autodir_core.imaging.metrics import psnr  # noqa: E402
from autodir_core.imaging.temporal import blend_in_time  # noqa: E402
from benchmarks.film import warping_error  # noqa: E402

FRAMES, SIZE, STEP, ZOOM = 6, (128, 160), 2.0, 1.004


def pan() -> list[torch.Tensor]:
    """Frames of a photograph under a camera that moves to the right and comes nearer."""
    photo = np.float32(data.astronaut()) / 255
    height, width = SIZE
    frames = []
    for number in range(FRAMES):
        scale = ZOOM**number
        matrix = np.float32([[1 / scale, 0, 150 + STEP * number], [0, 1 / scale, 40]])
        frame = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        frames.append(torch.from_numpy(frame.clip(0, 1))[None])
    return frames


@pytest.mark.parametrize("label", ["noise", "rain"])
def test_a_moving_clip_flickers_no_more_than_its_input(label: str) -> None:
    """Each frame with damage of its own, as a camera's noise and rain are; all restored by one decision."""
    clean = pan()
    damaged = [degrade(frame, label, severity=0.5, seed=number) for number, frame in enumerate(clean)]
    model = ad.load_autodir(device="cpu")
    loop, sampler = ad.preset("fast")
    loop = replace(loop, labels=[label], max_rounds=1)
    decision = shots.decide(model, damaged, loop, sampler)
    assert decision.rounds, "the gate refused the round: nothing was restored"
    restored = [repeat_rounds(model, frame, decision.rounds, loop, sampler).clamp(0, 1) for frame in damaged]
    blended = list(blend_in_time(zip(damaged, restored, strict=True)))
    of_clean, before, alone, after = (warping_error(some, clean) for some in (clean, damaged, restored, blended))
    close, closer = (np.mean([psnr(*pair) for pair in zip(some, clean, strict=True)]) for some in (restored, blended))
    print(
        f"{label}: warping error of the clean clip {of_clean:.4f}, damaged {before:.4f}, restored {alone:.4f}, ", end=""
    )
    print(f"averaged in time {after:.4f}; {close:.2f} and {closer:.2f} dB")
    assert after < alone < before and closer > close
