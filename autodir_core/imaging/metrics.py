"""How near a restored picture is to the truth."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import InputError
from ..optional_imports import optional_import

WINDOW = 11
SPREAD = 1.5
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
    a, b = (x.clamp(0, 1).double().permute(3, 0, 1, 2) for x in (image, truth))
    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean().item()


def smooth(x: Tensor) -> Tensor:
    """[3, 1, H, W] under a Gaussian window, only where the window fits."""
    distance = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    line = torch.exp(-(distance**2) / (2 * SPREAD**2))
    line = line / line.sum()
    rows = torch.nn.functional.conv2d(x, line.view(1, 1, 1, -1))
    return torch.nn.functional.conv2d(rows, line.view(1, 1, -1, 1))


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
        one, other = (x.clamp(0, 1).permute(0, 3, 1, 2).to(device) * 2 - 1 for x in (image, truth))
        return network(one, other).item()

    return distance


def check_sizes(image: Tensor, truth: Tensor) -> None:
    if image.shape != truth.shape:
        raise InputError(f"both pictures need one shape, got {list(image.shape)} and {list(truth.shape)}")
