"""How far two arrays are apart."""

from __future__ import annotations

import torch
from torch import Tensor


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Relative L2 distance of ours from the recorded array of the same shape."""
    assert ours.shape == theirs.shape, f"shape {list(ours.shape)}, expected {list(theirs.shape)}"
    return ((ours.double() - theirs.double()).norm() / theirs.double().norm()).item()


def picture(recorded: Tensor) -> Tensor:
    """A recorded [B, 3, H, W] in -1..1 as [B, H, W, 3] in 0..1."""
    return (recorded.permute(0, 2, 3, 1) + 1) / 2


def picture_distance(ours: Tensor, recorded: Tensor) -> float:
    """Relative L2 distance of a picture [B, H, W, 3] from a recorded [B, 3, H, W] in -1..1, in the recorded range."""
    return relative(ours.permute(0, 3, 1, 2) * 2 - 1, recorded)


def psnr(ours: Tensor, theirs: Tensor) -> float:
    """Peak signal to noise ratio in dB of values in 0..1."""
    return -10 * torch.log10(((ours.double() - theirs.double()) ** 2).mean()).item()
