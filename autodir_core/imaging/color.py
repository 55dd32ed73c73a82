"""Color matching of a result to its input: AdaIN and wavelet reconstruction (Wang et al., StableSR)."""

from __future__ import annotations

from torch import Tensor

from ..choices import COLOR_METHODS
from ..errors import InputError
from .filters import binomial_blur, resize
from .layout import check_images, from_network, to_network

WAVELET_LEVELS = 5


def match_color(images: Tensor, reference: Tensor, method: str = COLOR_METHODS.default) -> Tensor:
    """Give `images` the colors of `reference`.

    Args:
        images: [B, H, W, 3], 0..1, values outside allowed.
        reference: [B or 1, h, w, 3] of any size.
        method: "adain" matches mean and spread of each channel, "wavelet" takes the low frequencies of the reference,
            which must show the same content and is resized where it has another size; a name of `COLOR_METHODS`.

    Returns [B, H, W, 3], not clamped. Raises InputError for an unknown method or a wrong number of references.
    """
    match = COLOR_METHODS.load(method)
    images, reference = check_images(images), check_images(reference, "reference")
    if len(reference) not in (1, len(images)):
        raise InputError(f"reference must have 1 or {len(images)} pictures, got {len(reference)}")
    return match(images, reference)


def adain(images: Tensor, reference: Tensor) -> Tensor:
    """Take mean and spread of each channel from `reference` (official `adaptive_instance_normalization`)."""
    content, style = to_network(images), to_network(reference)
    mean, std = channel_statistics(content)
    style_mean, style_std = channel_statistics(style)
    return from_network((content - mean) / std * style_std + style_mean)


def channel_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (unbiased variance + 1e-5) over the pixels, each [B, 3, 1, 1]."""
    unbiased = x.shape[-2] * x.shape[-1] > 1
    return x.mean(dim=(2, 3), keepdim=True), (x.var(dim=(2, 3), keepdim=True, unbiased=unbiased) + 1e-5).sqrt()


def wavelet(images: Tensor, reference: Tensor) -> Tensor:
    """Put the high frequencies of `images` on the low ones of `reference` (official `wavelet_reconstruction`)."""
    content, style = to_network(images), to_network(resize(reference, *images.shape[1:3]))
    return from_network(content - low_frequencies(content) + low_frequencies(style))


def low_frequencies(x: Tensor) -> Tensor:
    """Blur [B, 3, H, W] five times, with radius 1, 2, 4, 8, 16 (a-trous wavelet)."""
    for level in range(WAVELET_LEVELS):
        x = binomial_blur(x, dilation=2**level, padding="replicate")
    return x
