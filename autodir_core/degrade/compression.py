"""Compression: the blocks, ripples and smeared colours that JPEG leaves at low quality."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .draws import Draw

QUALITY = (40.0, 18.0, 5.0)
SUBSAMPLING = (0, 1, 2)
SUBSAMPLING_WEIGHTS = (0.2, 0.1, 0.7)
"""Colour at full size, at half the width, at half of both: most cameras and pages choose the last."""


def jpeg(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Save and read again by the ordinary JPEG coder (libjpeg); image [3, H, W] 0..1."""
    quality = round(draw.level(severity, QUALITY))
    subsampling = draw.choice(SUBSAMPLING, SUBSAMPLING_WEIGHTS)
    pixels = (image.clamp(0.0, 1.0) * 255).round().to("cpu", torch.uint8).movedim(0, -1).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(buffer) as file:
        decoded = torch.from_numpy(np.array(file, dtype=np.float32) / 255)
    return decoded.movedim(-1, 0).to(image)
