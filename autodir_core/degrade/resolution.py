"""Too few pixels: the picture reduced by one resampling kernel and enlarged again by another."""

from __future__ import annotations

from torch import Tensor

from ..imaging.filters import resample
from .draws import Draw

FACTOR = (1.8, 3.5, 7.5)
REDUCE = ("area", "cubic", "lanczos", "nearest")
REDUCE_WEIGHTS = (0.35, 0.3, 0.25, 0.1)
ENLARGE = ("cubic", "linear", "nearest")
ENLARGE_WEIGHTS = (0.6, 0.2, 0.2)


def low_resolution(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Reduce [3, H, W] in 0..1 by a drawn factor and kernel and enlarge it again; not clamped."""
    factor = draw.level(severity, FACTOR)
    reduce = draw.choice(REDUCE, REDUCE_WEIGHTS)
    enlarge = draw.choice(ENLARGE, ENLARGE_WEIGHTS)
    height, width = image.shape[-2:]
    small = resample(image, (max(round(height / factor), 2), max(round(width / factor), 2)), kernel=reduce)
    return resample(small.clamp(0.0, 1.0), (height, width), kernel=enlarge)
