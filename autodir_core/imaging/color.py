"""Colour matching of a result to its input: AdaIN and wavelet reconstruction (Wang et al., StableSR)."""

from __future__ import annotations

from torch import Tensor

from ..choices import COLOR_METHODS
from ..errors import InputError
from .filters import binomial_blur
from .layout import check_images, from_network, to_network

WAVELET_LEVELS = 5


def match_color(images: Tensor, reference: Tensor, method: str = "adain") -> Tensor:
    """Give `images` the colours of `reference`.

    Args:
        images: [B, H, W, 3], 0..1, values outside allowed.
        reference: [B or 1, H, W, 3]; for "wavelet" of the same height and width.
        method: "adain" matches mean and spread of each channel (official `adaptive_instance_normalization`), "wavelet"
            takes the low frequencies of the reference (official `wavelet_reconstruction`).

    Returns [B, H, W, 3], not clamped. InputError for an unknown method or sizes that do not fit.
    """
    COLOR_METHODS.check(method)
    content, style = to_network(check_images(images)), to_network(check_images(reference, "reference"))
    if len(style) not in (1, len(content)):
        raise InputError(f"reference must have 1 or {len(content)} pictures, got {len(style)}")
    if method == "wavelet" and style.shape[-2:] != content.shape[-2:]:
        raise InputError(
            f"wavelet matching needs equal sizes, got {list(images.shape[1:3])} and {list(reference.shape[1:3])}"
        )
    return from_network(COLOR_METHODS.load(method)(content, style))


def adain(content: Tensor, style: Tensor) -> Tensor:
    """[B, 3, H, W] with each channel's mean and standard deviation taken from `style`."""
    mean, std = channel_statistics(content)
    style_mean, style_std = channel_statistics(style)
    return (content - mean) / std * style_std + style_mean


def channel_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (unbiased variance + 1e-5) over the pixels, each [B, 3, 1, 1]."""
    unbiased = x.shape[-2] * x.shape[-1] > 1
    return x.mean(dim=(2, 3), keepdim=True), (x.var(dim=(2, 3), keepdim=True, unbiased=unbiased) + 1e-5).sqrt()


def wavelet(content: Tensor, style: Tensor) -> Tensor:
    """High frequencies of `content` on the low frequencies of `style`."""
    return content - low_frequencies(content) + low_frequencies(style)


def low_frequencies(x: Tensor) -> Tensor:
    """Blur [B, 3, H, W] five times, with radius 1, 2, 4, 8, 16 (a-trous wavelet)."""
    for level in range(WAVELET_LEVELS):
        x = binomial_blur(x, dilation=2**level, padding="replicate")
    return x
