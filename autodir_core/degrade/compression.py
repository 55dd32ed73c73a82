"""Compression: the blocks, ripples and smeared colors that JPEG leaves at low quality."""

from __future__ import annotations

import io

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..imaging.filters import resample
from ..imaging.layout import from_pil, to_pil
from .draws import Draw

QUALITY = (40.0, 18.0, 5.0)
SUBSAMPLING = (0, 1, 2)
SUBSAMPLING_WEIGHTS = (0.2, 0.1, 0.7)
"""Color at full size, at half the width, at half of both: most cameras and pages choose the last."""


def jpeg(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Compress [3, H, W] in 0..1 by the ordinary JPEG coder (libjpeg)."""
    return _compress(image, round(draw.level(severity, QUALITY)), draw)


def double(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Compress [3, H, W] in 0..1 at two qualities, the worse first or last (Popescu and Farid, 2004)."""
    qualities = [round(draw.log_level(severity, 45, 6)), draw.integer(30, 85)]
    for quality in qualities if draw.chance(0.6) else qualities[::-1]:
        image = _compress(image, quality, draw)
    return image


def shifted(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Crop [3, H, W] in 0..1 between two compressions: two grids of blocks (Jiang et al., 2021, FBCNN)."""
    down, right = draw.integer(1, 7), draw.integer(1, 7)
    padded = F.pad(image[None], (right, 0, down, 0), mode="reflect")[0]
    first = _compress(padded, round(draw.log_level(severity, 40, 6)), draw)[:, down:, right:]
    return _compress(first, draw.integer(25, 70), draw)


def enlarged(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Compress [3, H, W] in 0..1 at 0.5 to 0.9 of its size and enlarge it: blocks of more than eight pixels."""
    height, width = image.shape[1:]
    factor = draw.uniform(0.55, 0.9)
    small = resample(image, (max(round(height * factor), 2), max(round(width * factor), 2)), kernel="area")
    small = _compress(small, round(draw.log_level(severity, 45, 6)), draw)
    return resample(small, (height, width), kernel="cubic")


def _compress(image: Tensor, quality: int, draw: Draw) -> Tensor:
    """Compress [3, H, W] in 0..1, its colors at a drawn size."""
    subsampling = draw.choice(SUBSAMPLING, SUBSAMPLING_WEIGHTS)
    return compress_jpeg(image.movedim(0, -1), quality, subsampling).movedim(-1, 0).to(image)


def compress_jpeg(image: Tensor, quality: int, subsampling: int) -> Tensor:
    """Encode [H, W, 3] in 0..1 as JPEG and decode it again, [H, W, 3] on the CPU."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(buffer) as file:
        return from_pil(file)
