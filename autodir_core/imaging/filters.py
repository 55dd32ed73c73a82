"""Kernels, convolutions, blurs and resampling; whatever is smoothed or resized anywhere goes through here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Array = TypeVar("Array", Tensor, np.ndarray)


def gaussian_kernel(sigma: float, reach: int) -> list[float]:
    """Return the 2 * reach + 1 weights of a Gaussian of `sigma` pixels, which sum to one."""
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-reach, reach + 1)]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def disc_kernel(radius: float, *, softness: float = 1.0) -> Tensor:
    """Return the defocus of a lens: a disc of `radius` pixels whose edge falls off over `softness` pixels.

    The kernel is [K, K], K odd, and sums to one.
    """
    reach = math.ceil(radius + softness / 2)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = ((radius - torch.hypot(offsets[:, None], offsets[None, :])) / softness + 0.5).clamp(0.0, 1.0)
    return kernel / kernel.sum()


def line_kernel(length: float, angle: float, *, bend: float = 0.0, width: float = 1.0) -> Tensor:
    """Return the blur of a motion of `length` pixels at `angle` radians from the x axis, centered on its mean.

    `bend` is the height of the arc as a fraction of the length; `width` is the path's thickness in pixels (1 or more).
    The kernel is [K, K], K odd, and sums to one.
    """
    t = torch.linspace(-0.5, 0.5, 4 * math.ceil(length) + 1)
    arc = bend * (t.square() * 4 - 1 / 3)
    x = length * (t * math.cos(angle) - arc * math.sin(angle))
    y = length * (t * math.sin(angle) + arc * math.cos(angle))
    return path_kernel(x, y, width=width)


def path_kernel(x: Tensor, y: Tensor, *, width: float = 1.0) -> Tensor:
    """Return the blur of a path through the points [N], in pixels, centered on its mean and `width` pixels thick.

    The kernel is [K, K], K odd, and sums to one.
    """
    x, y = x - x.mean(), y - y.mean()
    reach = math.ceil(max(x.abs().max().item(), y.abs().max().item()) + width)
    kernel = _splat(y, reach, width).T @ _splat(x, reach, width)
    return kernel / kernel.sum()


def _splat(points: Tensor, reach: int, width: float) -> Tensor:
    """Return the bilinear weight of each point in each cell: [points, 2 * reach + 1]."""
    cells = torch.arange(-reach, reach + 1, dtype=torch.float32)
    return (1 - (cells - points[:, None]).abs() / width).clamp_min(0.0)


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


def convolve_axis(x: Array, kernel: Sequence[float], axis: int) -> Array:
    """Correlate a tensor or an array with a line of weights along an axis from 0, only where all of them fit.

    The products are added one by one in a fixed order, so that every machine and both libraries get the same bits.
    """
    length = x.shape[axis] - len(kernel) + 1
    before = (slice(None),) * axis
    total = x[(*before, slice(length))] * kernel[0]
    for start, weight in enumerate(kernel[1:], start=1):
        total += x[(*before, slice(start, start + length))] * weight
    return total


def gaussian_blur(x: Array, sigma: float, *, sigma_x: float | None = None, truncate: float = 3.0) -> Array:
    """Blur [H, W, ...] by a Gaussian of `sigma` pixels, or of another width along x, borders mirrored.

    The Gaussian is cut off at `truncate` standard deviations, or where the mirrored picture ends.
    """
    for axis, spread in enumerate((sigma, sigma_x or sigma)):
        last = x.shape[axis] - 1
        reach = min(max(math.ceil(truncate * spread), 1), last)
        mirrored = [last - abs(last - abs(i)) for i in range(-reach, last + 1 + reach)]
        x = convolve_axis(x[mirrored] if axis == 0 else x[:, mirrored], gaussian_kernel(spread, reach), axis)
    return x


def binomial_blur(x: Tensor, *, dilation: int = 1, padding: str = "reflect") -> Tensor:
    """Blur [B, C, H, W] by (1, 2, 1) / 4 along both axes, its taps `dilation` pixels apart; same size.

    `padding` is a mode of `torch.nn.functional.pad`.
    """
    line = torch.tensor([0.25, 0.5, 0.25], device=x.device, dtype=x.dtype)
    kernel = torch.outer(line, line).expand(x.shape[1], 1, 3, 3)
    padded = F.pad(x, (dilation,) * 4, mode=padding)
    return F.conv2d(padded, kernel, dilation=dilation, groups=x.shape[1])


def box_blur(x: Tensor, size: int, *, count_include_pad: bool = False) -> Tensor:
    """Average [B, C, H, W] over windows of odd `size`; same size.

    Beyond the borders is nothing, or black with `count_include_pad`.
    """
    return F.avg_pool2d(x, size, stride=1, padding=size // 2, count_include_pad=count_include_pad)


def box_downscale(x: Tensor, factor: int) -> Tensor:
    """Average [B, C, H, W] over blocks of `factor` pixels a side; an incomplete last block is dropped."""
    return F.avg_pool2d(x, factor)


def resize(images: Tensor, height: int, width: int, *, mode: str = "bicubic", antialias: bool = True) -> Tensor:
    """Return [B, h, w, C] at another size, interpolated; the very tensor where it has that size already."""
    if images.shape[1:3] == (height, width):
        return images
    x = images.movedim(-1, 1)
    return F.interpolate(x, (height, width), mode=mode, antialias=antialias).movedim(1, -1)


def resample(image: Tensor, size: tuple[int, int], *, kernel: str) -> Tensor:
    """Resize [C, H, W] to `size` by the kernel "nearest", "area", "linear", "cubic" or "lanczos" (3 lobes).

    All but "nearest" widen when reducing, which keeps aliasing out; every output pixel's weights sum to one.
    """
    rows = _resampling_matrix(image.shape[-2], size[0], kernel).to(image)
    columns = _resampling_matrix(image.shape[-1], size[1], kernel).to(image)
    return rows @ image @ columns.T


def _resampling_matrix(source: int, target: int, kernel: str) -> Tensor:
    """Return the weights [target, source] of each pixel of a line in each resampled one."""
    scale = source / target
    centers = (torch.arange(target) + 0.5) * scale - 0.5
    if kernel == "nearest":
        nearest = (centers + 0.5).floor().long().clamp(0, source - 1)
        return F.one_hot(nearest, source).float()
    distances = (torch.arange(source) - centers[:, None]) / max(scale, 1.0)
    weights = _RESAMPLING_KERNELS[kernel](distances.abs())
    return weights / weights.sum(1, keepdim=True)


def _area(x: Tensor) -> Tensor:
    return ((0.5 - x) * 8 + 0.5).clamp(0.0, 1.0)


def _linear(x: Tensor) -> Tensor:
    return (1 - x).clamp_min(0.0)


def _cubic(x: Tensor) -> Tensor:
    """Return Keys' kernel with a = -0.5 (Catmull-Rom)."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, far) * (x < 2)


def _lanczos(x: Tensor) -> Tensor:
    return torch.sinc(x) * torch.sinc(x / 3) * (x < 3)


_RESAMPLING_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "area": _area,
    "linear": _linear,
    "cubic": _cubic,
    "lanczos": _lanczos,
}
