"""How near a picture is to a reference: PSNR, SSIM, LPIPS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..optional_imports import optional_import
from .filters import convolve_axis, gaussian_kernel
from .layout import check_same_shape, pad_to_size, to_network

WINDOW = 11
SIGMA = 1.5
BT601 = (65.481, 128.553, 24.966)
"""What red, green and blue in 0..1 add to the luminance, in levels of 255 above 16 (ITU-R BT.601)."""

Distance = Callable[[Tensor, Tensor], float]


@dataclass(frozen=True)
class Scores:
    """How near one picture is to another: PSNR in dB, at most 100, and SSIM, at most 1."""

    psnr: float
    ssim: float

    def __str__(self) -> str:
        return f"PSNR {self.psnr:.2f} dB, SSIM {self.ssim:.4f}"


def score_pictures(images: Tensor, references: Tensor) -> list[Scores]:
    """Score each picture of [B, H, W, 3]; those smaller than the window of SSIM are extended by reflection for it."""
    pairs = zip(images.split(1), references.split(1), strict=True)
    return [Scores(psnr(a, b), ssim(pad_to_size(a, WINDOW), pad_to_size(b, WINDOW))) for a, b in pairs]


MAX_PSNR = 100.0
"""What stands for the infinite PSNR of equal pictures, in dB."""


def psnr(image: Tensor, reference: Tensor) -> float:
    """Return the PSNR in dB, at most `MAX_PSNR`, of [1, H, W, 3] in 0..1, clamped as a saved file would be."""
    check_same_shape(image, reference)
    error = ((image.clamp(0, 1).double() - reference.clamp(0, 1).double()) ** 2).mean()
    return min(MAX_PSNR, -10 * torch.log10(error).item())


def ssim(image: Tensor, reference: Tensor) -> float:
    """Return the structural similarity of [1, H, W, 3] in 0..1, the mean over the channels.

    Source: Wang et al. 2004, with their Gaussian window of 11 pixels and sigma 1.5.
    """
    check_same_shape(image, reference)
    a, b = (x.clamp(0, 1).double() for x in (image, reference))
    mean_a, mean_b = _smooth(a), _smooth(b)
    var_a, var_b = _smooth(a * a) - mean_a**2, _smooth(b * b) - mean_b**2
    covariance = _smooth(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean().item()


def _smooth(x: Tensor) -> Tensor:
    """Average [1, H, W, C] under a Gaussian window, only where the window fits."""
    kernel = gaussian_kernel(SIGMA, WINDOW // 2)
    return convolve_axis(convolve_axis(x, kernel, 1), kernel, 2)


def luminance(image: Tensor) -> Tensor:
    """Return the luminance [1, H, W, 1] of [1, H, W, 3] in 0..1 as MATLAB's rgb2ycbcr gives it: 16/255 to 235/255."""
    weights = torch.tensor(BT601, dtype=torch.float64, device=image.device)
    return (image.clamp(0, 1).double() @ weights[:, None] + 16) / 255


def load_lpips(device: torch.device) -> Distance:
    """Return LPIPS on AlexNet (Zhang et al. 2018) of two pictures [1, H, W, 3] in 0..1; smaller is nearer.

    Raises PackageError where the package is missing, InputError where the weights it downloads are.
    """
    with optional_import("lpips", alternative="give --no-lpips"):
        import lpips  # pyright: ignore[reportMissingImports]
    try:
        network = lpips.LPIPS(net="alex", verbose=False).to(device).eval()
    except OSError as error:
        raise InputError(f"the weights of LPIPS cannot be loaded ({error}); give --no-lpips") from error

    @torch.inference_mode()
    def distance(image: Tensor, reference: Tensor) -> float:
        check_same_shape(image, reference)
        return network(*(to_network(x.clamp(0, 1)).to(device) for x in (image, reference))).item()

    return distance
