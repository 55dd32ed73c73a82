"""What a file of more bits than Pillow gives holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Samples:
    """The first picture of a file, upright, in the numbers that it is stored in.

    Attributes:
        color: [H, W, 1 or 3].
        alpha: [H, W]; None where it has none.
        premultiplied: whether the colors were multiplied by alpha.
        info: what Pillow would have in `Image.info`; of a TIFF file "exif" is all of it, as it is built like an EXIF
            block.
        format: Pillow's name of the file's format.
    """

    color: np.ndarray
    alpha: np.ndarray | None
    premultiplied: bool
    info: dict[Any, Any]
    format: str


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return [H, W, ...] as the EXIF orientation 1..8 says that it is to be seen."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    rows, columns = (slice(None, None, -1 if orientation in flipped else 1) for flipped in ((3, 4, 7, 8), (2, 3, 6, 7)))
    return pixels[rows, columns]
