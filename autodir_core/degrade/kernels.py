"""Point spread functions that sum to one, and the convolution that applies them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def disc_kernel(radius: float, *, softness: float = 1.0) -> Tensor:
    """Defocus: a disc of `radius` pixels whose edge falls off over `softness` pixels; [K, K], K odd, sum 1."""
    reach = math.ceil(radius + softness / 2)
    y, x = _offsets(reach)
    kernel = ((radius - torch.hypot(y, x)) / softness + 0.5).clamp(0.0, 1.0)
    return kernel / kernel.sum()


def line_kernel(length: float, angle: float, *, bend: float = 0.0, width: float = 1.0) -> Tensor:
    """Motion: a path of `length` pixels at `angle` radians from the x axis, centred on its mean; [K, K], K odd, sum 1.

    `bend` is the height of the arc as a share of the length; `width` is the path's thickness in pixels (1 or more).
    """
    t = torch.linspace(-0.5, 0.5, 4 * math.ceil(length) + 1)
    arc = bend * (t.square() * 4 - 1 / 3)
    x = length * (t * math.cos(angle) - arc * math.sin(angle))
    y = length * (t * math.sin(angle) + arc * math.cos(angle))
    x, y = x - x.mean(), y - y.mean()
    reach = math.ceil(max(x.abs().max().item(), y.abs().max().item()) + width)
    kernel = _tent(y, reach, width).T @ _tent(x, reach, width)
    return kernel / kernel.sum()


def convolve(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve [C, H, W] with an odd [K, K] kernel, borders mirrored; same size. K // 2 must be below H and W."""
    reach = kernel.shape[0] // 2
    padded = F.pad(image[None], (reach,) * 4, mode="reflect")[0]
    # A multiplication of spectra costs the same for every kernel and wins over conv2d from about five taps on.
    full = convolve_circular(padded, kernel)
    height, width = image.shape[-2:]
    return full[..., 2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width]


def convolve_circular(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve [..., H, W] with a kernel no larger than it, wrapped around the borders and shifted by K // 2."""
    size = (image.shape[-2], image.shape[-1])
    spectrum = torch.fft.rfft2(image) * torch.fft.rfft2(kernel.to(image), s=size)
    return torch.fft.irfft2(spectrum, s=size)


def _offsets(reach: int) -> tuple[Tensor, Tensor]:
    line = torch.arange(-reach, reach + 1, dtype=torch.float32)
    return line[:, None], line[None, :]


def _tent(points: Tensor, reach: int, width: float) -> Tensor:
    """Bilinear share of each point in each cell: [points, 2 * reach + 1]."""
    cells = torch.arange(-reach, reach + 1, dtype=torch.float32)
    return (1 - (cells - points[:, None]).abs() / width).clamp_min(0.0)
