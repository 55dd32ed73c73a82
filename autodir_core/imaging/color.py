"""Color profiles of files; color matching of a result to its input: AdaIN and wavelet (Wang et al., StableSR)."""

from __future__ import annotations

import io
import logging
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageCms
from torch import Tensor

from ..choices import COLOR_METHODS
from ..errors import InputError
from .filters import binomial_blur, resize
from .formats.errors import FORMAT_ERRORS
from .layout import check_images, from_network, from_pil, to_network, to_pil
from .profiles import convert_exactly

logger = logging.getLogger(__name__)

WAVELET_LEVELS = 5

SRGB_MADE = (2000).to_bytes(2, "big") + bytes([0, 1, 0, 1]) + bytes(6)
"""The date in the sRGB profile that is written, so that the same picture is the same file."""

LEVELS = (0, 8, 24, 64, 128, 192, 255)
PROBES = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS), axis=-1).reshape(1, -1, 3).astype(np.uint8)
SAME = 3
"""By how many levels of 255 a profile of sRGB may move the probes; the published ones by 1, a gamma of 2.2 by 7."""


def to_srgb(image: Image.Image, icc_profile: bytes | None, path: Path) -> tuple[Image.Image, bytes]:
    """Convert a picture to 8-bit RGB by the profile of its file; without one that works, it is taken as sRGB already.

    Returns the profile of the result too; none where the file has none that works.
    """
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if not icc_profile:
        return image.convert("RGB"), b""
    if image.mode == "L" and _is_of_color(icc_profile):
        image = image.convert("RGB")  # as programs write gray that know one profile only
    try:
        if image.mode != "CMYK" and _is_srgb(icc_profile):
            return image.convert("RGB"), _profile_of_color(icc_profile)  # to itself it would only be rounded
        converted = _convert(image, icc_profile, ImageCms.Intent.PERCEPTUAL)
    except FORMAT_ERRORS as error:
        logger.warning("%s: the embedded color profile cannot be used (%s); colors kept as they are", path, error)
        return image.convert("RGB"), b""
    return converted, srgb_profile()


def deep_to_srgb(color: Tensor, icc_profile: bytes | None, path: Path) -> tuple[Tensor, bytes]:
    """Convert deep gray or color [H, W, 1 or 3] in 0..1 to color, by its profile as `to_srgb` does, at full precision.

    Only a profile of tables is applied in 8 bits, with a warning.
    """
    rgb = color.expand(*color.shape[:2], 3).contiguous()
    if not icc_profile:
        return rgb, b""
    try:
        if _is_srgb(icc_profile):
            return rgb, _profile_of_color(icc_profile)
        if (
            exact := convert_exactly(rgb if _is_of_color(icc_profile) else color, icc_profile, srgb_profile())
        ) is not None:
            return exact.expand(rgb.shape).contiguous(), srgb_profile()
    except FORMAT_ERRORS:
        pass  # to_srgb says so
    converted, profile = to_srgb(to_pil(color), icc_profile, path)
    if not profile:
        return rgb, b""
    logger.warning("%s: its color profile is applied in 8 bits; convert it to sRGB first to keep all bits", path)
    return from_pil(converted), profile


def _is_of_color(icc_profile: bytes) -> bool:
    return icc_profile[16:20] == b"RGB "


def _profile_of_color(icc_profile: bytes) -> bytes:
    """Return a profile of sRGB that fits three channels: this one, or ours where it is one of gray."""
    return icc_profile if _is_of_color(icc_profile) else srgb_profile()


def _is_srgb(icc_profile: bytes) -> bool:
    """Return whether a profile of color or gray leads to sRGB, whatever its name: linear ones are called "sRGB" too."""
    probes = PROBES if _is_of_color(icc_profile) else np.repeat(PROBES[..., :1], 3, axis=-1)
    image = Image.fromarray(probes)
    if not _is_of_color(icc_profile):
        image = image.convert("L")
    seen = np.asarray(_convert(image, icc_profile, ImageCms.Intent.RELATIVE_COLORIMETRIC))
    return bool(np.abs(seen - probes.astype(int)).max() <= SAME)


def _convert(image: Image.Image, icc_profile: bytes, intent: ImageCms.Intent) -> Image.Image:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), intent, outputMode="RGB")
    return cast("Image.Image", converted)  # only a conversion in place returns None


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + SRGB_MADE + profile[36:]


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
