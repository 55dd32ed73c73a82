"""Where each degradation is, drawn over the picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..imaging.filters import resize
from ..imaging.layout import from_uint8
from ..labels import CLEAN
from .drawing import add_caption, arrange_in_grid, thumbnail, to_tensor
from .summary import percentage

MAX_HEIGHT, MAX_SHOWN, MIN_SHOWN = 384, 4, 0.1
"""Rows of the pictures, how many degradations are shown at most, and how probable one must be somewhere."""

HEAT = ((20, 24, 60), (150, 40, 120), (250, 120, 40), (255, 245, 160))
"""Colors from probability 0 to 1."""


def heat_map(image: Tensor, probabilities: Tensor, labels: Sequence[str]) -> Tensor:
    """Return the picture and, for each degradation that is probable somewhere, its probabilities over the picture.

    Args:
        image: [1, H, W, 3] in 0..1, values outside allowed.
        probabilities: [L, h, w], from `AutoDIR.locate`.
        labels: the L labels.

    Returns float32 [1, h, w, 3] in 0..1.
    """
    peaks = {label: found.max().item() for label, found in zip(labels, probabilities, strict=True) if label != CLEAN}
    shown = sorted((label for label in peaks if peaks[label] >= MIN_SHOWN), key=lambda label: -peaks[label])[:MAX_SHOWN]
    figures = [add_caption(thumbnail(image, MAX_HEIGHT), "picture", f"{image.shape[2]} x {image.shape[1]}")]
    for label in shown:
        drawn = thumbnail(overlay(image, probabilities[labels.index(label)]), MAX_HEIGHT)
        figures.append(add_caption(drawn, label, f"at most {percentage('', peaks[label]).strip()}"))
    return to_tensor(arrange_in_grid(figures))


def overlay(image: Tensor, probabilities: Tensor) -> Tensor:
    """Return a picture [1, H, W, 3] in gray under the colors of probabilities [h, w]."""
    image, (height, width) = image.float(), image.shape[1:3]
    fitted = resize(probabilities[None, ..., None].to(image), height, width, mode="bilinear")[..., 0].clamp(0, 1)
    place = fitted * (len(HEAT) - 1)
    low = place.floor().clamp(max=len(HEAT) - 2)
    colors = from_uint8(torch.tensor(HEAT, dtype=torch.uint8)).to(image)
    heat = torch.lerp(colors[low.long()], colors[low.long() + 1], (place - low)[..., None])
    gray = image.clamp(0, 1).mean(dim=-1, keepdim=True)
    return torch.lerp(gray.expand_as(heat), heat, 0.65) * (0.5 + 0.5 * gray)
