"""Too few pixels: the picture reduced by one resampling kernel and enlarged again by another."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .draws import Draw

FACTOR = (1.8, 3.5, 7.5)
REDUCE = ("area", "cubic", "lanczos", "nearest")
REDUCE_WEIGHTS = (0.35, 0.3, 0.25, 0.1)
ENLARGE = ("cubic", "linear", "nearest")
ENLARGE_WEIGHTS = (0.6, 0.2, 0.2)


def low_resolution(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Reduce by a drawn factor and kernel, store, enlarge to the same size; image [3, H, W] 0..1, not clamped."""
    factor = draw.level(severity, FACTOR)
    reduce = draw.choice(REDUCE, REDUCE_WEIGHTS)
    enlarge = draw.choice(ENLARGE, ENLARGE_WEIGHTS)
    height, width = image.shape[-2:]
    small = resample(image, (max(round(height / factor), 2), max(round(width / factor), 2)), kernel=reduce)
    return resample(small.clamp(0.0, 1.0), (height, width), kernel=enlarge)


def resample(image: Tensor, size: tuple[int, int], *, kernel: str) -> Tensor:
    """Resize [C, H, W] to `size` by the kernel "nearest", "area", "linear", "cubic" or "lanczos" (3 lobes).

    All but "nearest" widen when reducing, which keeps aliasing out; every output pixel's weights sum to one.
    """
    rows = _weights(image.shape[-2], size[0], kernel).to(image)
    columns = _weights(image.shape[-1], size[1], kernel).to(image)
    return rows @ image @ columns.T


def _weights(source: int, target: int, kernel: str) -> Tensor:
    """The matrix [target, source] that resamples a line of pixels."""
    scale = source / target
    centres = (torch.arange(target) + 0.5) * scale - 0.5
    if kernel == "nearest":
        nearest = (centres + 0.5).floor().long().clamp(0, source - 1)
        return torch.nn.functional.one_hot(nearest, source).float()
    distances = (torch.arange(source) - centres[:, None]) / max(scale, 1.0)
    weights = _KERNELS[kernel](distances.abs())
    return weights / weights.sum(1, keepdim=True)


def _area(x: Tensor) -> Tensor:
    return ((0.5 - x) * 8 + 0.5).clamp(0.0, 1.0)


def _linear(x: Tensor) -> Tensor:
    return (1 - x).clamp_min(0.0)


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5 (Catmull-Rom)."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, far) * (x < 2)


def _lanczos(x: Tensor) -> Tensor:
    return torch.sinc(x) * torch.sinc(x / 3) * (x < 3)


_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "area": _area,
    "linear": _linear,
    "cubic": _cubic,
    "lanczos": _lanczos,
}
