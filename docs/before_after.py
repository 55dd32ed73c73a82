"""Make `docs/before_after.jpg`, four test photos degraded and restored: `python docs/before_after.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a script's own folder is all that Python adds

import autodir_core as ad
from autodir_core.degrade import degrade
from autodir_core.imaging.files import write_picture
from autodir_core.imaging.filters import resize
from autodir_core.settings import SamplerSettings
from autodir_lab.evaluation.sources import load_photos

GAP = 6
"""White pixels between two pictures."""

ROWS = (
    (("cat", "noise", (288, 384)), ("astronaut", "rain", (288, 288))),
    (("coffee", "underexposure", (225, 336)), ("palace", "haze", (225, 336))),
)
"""Photo, degradation, and height and width of the picture."""


def crop_and_resize(photo: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop the center of a photo [1, H, W, 3] to the proportions of `size` (height, width) and resize it."""
    height, width = photo.shape[1:3]
    scale = min(height / size[0], width / size[1])
    high, wide = round(size[0] * scale), round(size[1] * scale)
    top, left = (height - high) // 2, (width - wide) // 2
    return resize(photo[:, top : top + high, left : left + wide], *size).clamp(0, 1)


def degrade_and_restore(model: ad.AutoDIR, photo: Tensor, label: str) -> list[Tensor]:
    """Return a degraded photo and its restoration."""
    degraded = degrade(photo, label, severity=0.5, seed=1, kind="standard")
    result = ad.restore(model, degraded, sampler=SamplerSettings(steps=20), seed=0)
    print(label, [round_.labels[0] for round_ in result.rounds])
    return [degraded, result.image]


def concatenate(pictures: list[Tensor], dim: int) -> Tensor:
    """Concatenate pictures horizontally (dim 2) or vertically (dim 1), with white gaps."""
    gap = torch.ones_like(pictures[0].narrow(dim, 0, GAP))
    return torch.cat([piece for picture in pictures for piece in (picture, gap)][:-1], dim=dim)


def main() -> None:
    model, photos = ad.load_autodir(), load_photos()
    rows = []
    for row in ROWS:
        pairs = [degrade_and_restore(model, crop_and_resize(photos[name], size), label) for name, label, size in row]
        rows.append(concatenate([picture for pair in pairs for picture in pair], 2))
    write_picture(Path(__file__).with_name("before_after.jpg"), concatenate(rows, 1), quality=85)


if __name__ == "__main__":
    main()
