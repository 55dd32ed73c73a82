"""How near a restored picture is to the truth."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import InputError
from ..optional_imports import optional_import
from .filters import convolve_axis, gaussian_kernel
from .layout import to_network

WINDOW = 11
SIGMA = 1.5
BT601 = (65.481, 128.553, 24.966)
"""What red, green and blue in 0..1 add to the luminance, in levels of 255 above 16 (ITU-R BT.601)."""

Distance = Callable[[Tensor, Tensor], float]


def psnr(image: Tensor, truth: Tensor) -> float:
    """Peak signal to noise ratio in dB of [1, H, W, 3] in 0..1, clamped as a saved file would be; at most 100."""
    check_sizes(image, truth)
    error = ((image.clamp(0, 1).double() - truth.clamp(0, 1).double()) ** 2).mean()
    return min(100.0, -10 * torch.log10(error).item())


def ssim(image: Tensor, truth: Tensor) -> float:
    """Structural similarity of [1, H, W, 3] in 0..1, mean over colours (Wang et al. 2004: Gaussian window 11, 1.5)."""
    check_sizes(image, truth)
    a, b = (x.clamp(0, 1).double() for x in (image, truth))
    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean().item()


def smooth(x: Tensor) -> Tensor:
    """Average [1, H, W, C] under a Gaussian window, only where the window fits."""
    kernel = gaussian_kernel(SIGMA, WINDOW // 2)
    return convolve_axis(convolve_axis(x, kernel, 1), kernel, 2)


def luminance(image: Tensor) -> Tensor:
    """The luminance [1, H, W, 1] of [1, H, W, 3] in 0..1 as MATLAB's rgb2ycbcr gives it: 16/255 to 235/255."""
    weights = torch.tensor(BT601, dtype=torch.float64, device=image.device)
    return (image.clamp(0, 1).double() @ weights[:, None] + 16) / 255


def load_lpips(device: torch.device) -> Distance:
    """LPIPS on AlexNet (Zhang et al. 2018) of two pictures [1, H, W, 3] in 0..1; smaller is nearer.

    Raises PackageError where the package is missing, InputError where the weights it downloads are.
    """
    with optional_import("lpips", alternative="give --no-lpips"):
        import lpips  # pyright: ignore[reportMissingImports]
    try:
        network = lpips.LPIPS(net="alex", verbose=False).to(device).eval()
    except OSError as error:
        raise InputError(f"the weights of LPIPS cannot be loaded ({error}); give --no-lpips") from error

    @torch.inference_mode()
    def distance(image: Tensor, truth: Tensor) -> float:
        check_sizes(image, truth)
        return network(*(to_network(x.clamp(0, 1)).to(device) for x in (image, truth))).item()

    return distance


def check_sizes(image: Tensor, truth: Tensor) -> None:
    if image.shape != truth.shape:
        raise InputError(f"both pictures need one shape, got {list(image.shape)} and {list(truth.shape)}")
