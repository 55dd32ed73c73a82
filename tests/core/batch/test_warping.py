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
pytest.importorskip("scenedetect", reason="PySceneDetect is not installed")

from autodir_core.batch import shots  # noqa: E402

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


def warping_error(frames: list[torch.Tensor], clean: list[torch.Tensor]) -> float:
    """Mean absolute difference of each frame to the next one warped back along the flow of the clean frames.

    Lai et al., Learning Blind Video Temporal Consistency (ECCV 2018), section 4.1, with Farneback's flow; places whose
    flow does not lead back to them are left out.
    """
    gray = [cv2.cvtColor((frame[0].numpy() * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for frame in clean]
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    errors = []
    for number in range(len(frames) - 1):
        there, back = (
            cv2.calcOpticalFlowFarneback(gray[a], gray[b], None, 0.5, 3, 15, 3, 7, 1.5, 0)
            for a, b in ((number, number + 1), (number + 1, number))
        )
        at = x + there[..., 0], y + there[..., 1]
        returned = there + cv2.remap(back, *at, cv2.INTER_LINEAR)
        inside = (at[0] >= 0) & (at[0] < SIZE[1] - 1) & (at[1] >= 0) & (at[1] < SIZE[0] - 1)
        seen = inside & (np.square(returned).sum(-1) < 0.5)
        warped = cv2.remap(frames[number + 1][0].numpy(), *at, cv2.INTER_LINEAR)
        errors.append(np.abs(warped - frames[number][0].numpy())[seen].mean())
    return float(np.mean(errors))


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
    of_clean, before, after = (warping_error(frames, clean) for frames in (clean, damaged, restored))
    print(f"{label}: warping error of the clean clip {of_clean:.4f}, damaged {before:.4f}, restored {after:.4f}")
    assert after < before
