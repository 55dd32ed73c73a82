"""Compression: the blocks, ripples and smeared colors that JPEG leaves at low quality."""

from __future__ import annotations

import io

from PIL import Image
from torch import Tensor

from ..imaging.layout import from_pil, to_pil
from .draws import Draw

QUALITY = (40.0, 18.0, 5.0)
SUBSAMPLING = (0, 1, 2)
SUBSAMPLING_WEIGHTS = (0.2, 0.1, 0.7)
"""Color at full size, at half the width, at half of both: most cameras and pages choose the last."""


def jpeg(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Compress [3, H, W] in 0..1 by the ordinary JPEG coder (libjpeg)."""
    quality = round(draw.level(severity, QUALITY))
    subsampling = draw.choice(SUBSAMPLING, SUBSAMPLING_WEIGHTS)
    return compress_jpeg(image.movedim(0, -1), quality, subsampling).movedim(-1, 0).to(image)


def compress_jpeg(image: Tensor, quality: int, subsampling: int) -> Tensor:
    """Encode [H, W, 3] in 0..1 as JPEG and decode it again, [H, W, 3] on the CPU."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(buffer) as file:
        return from_pil(file)
