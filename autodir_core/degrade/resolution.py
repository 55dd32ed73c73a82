"""Too few pixels: the picture reduced by one resampling kernel and enlarged again by another."""

from __future__ import annotations

from torch import Tensor

from ..imaging.filters import resample
from .blur import apply_psf, gaussian_psf
from .camera import sharpen
from .compression import compress_jpeg
from .draws import Draw
from .noise import clumped_noise

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


def bicubic(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Reduce [3, H, W] in 0..1 and enlarge it by Keys' cubic both ways, as test sets of super-resolution are made."""
    return _enlarge(_reduce(image, draw.log_level(severity, 1.7, 8.0), "cubic"), image, "cubic")


def pixelated(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Show [3, H, W] in 0..1 in blocks: reduced by averages or samples, enlarged without interpolation."""
    kernel = draw.choice(("area", "nearest", "cubic"), (2, 1, 1))
    return _enlarge(_reduce(image, draw.log_level(severity, 1.6, 8.0), kernel), image, "nearest")


def aliased(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Leave out pixels of [3, H, W] in 0..1 and interpolate between the others: jagged edges and moiré."""
    small = _reduce(image, draw.log_level(severity, 1.5, 6.0), "nearest")
    return _enlarge(small, image, draw.choice(("linear", "cubic", "lanczos")))


def noisy(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Reduce [3, H, W] in 0..1, add slight noise, enlarge: its grain is as coarse as the lost pixels (BSRGAN)."""
    small = _reduce(image, draw.log_level(severity, 1.7, 7.0), draw.choice(REDUCE, REDUCE_WEIGHTS))
    small = small + draw.log_uniform(2, 12) / 255 * draw.normal(*small.shape).to(image)
    return _enlarge(small.clamp(0.0, 1.0), image, draw.choice(("cubic", "linear", "lanczos"), (2, 1, 1)))


def compressed(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Reduce [3, H, W] in 0..1, compress it by JPEG, enlarge: a thumbnail shown large (Real-ESRGAN)."""
    small = _reduce(image, draw.log_level(severity, 1.7, 7.0), draw.choice(REDUCE, REDUCE_WEIGHTS))
    small = _compress(small, draw.integer(40, 92), draw)
    return _enlarge(small, image, draw.choice(("cubic", "linear", "lanczos"), (2, 1, 1)))


def anisotropic(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Reduce [3, H, W] in 0..1 by other factors along x and y, as analog and anamorphic video has, and enlarge it."""
    factor, ratio = draw.log_level(severity, 1.8, 6.5), draw.log_uniform(1.6, 3.0)
    ratio = ratio if draw.chance(0.6) else 1 / ratio
    small = _reduce(image, factor * ratio**0.5, draw.choice(REDUCE, REDUCE_WEIGHTS), factor / ratio**0.5)
    return _enlarge(small, image, draw.choice(("cubic", "linear", "nearest"), (2, 1, 1)))


def second_order(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Blur, reduce, add noise to and compress [3, H, W] in 0..1, twice (Real-ESRGAN, Wang et al., 2021)."""
    factor = draw.log_level(severity, 1.8, 8.0)
    first = draw.uniform(0.2, 0.8)
    small = image
    for share in (first, 1 - first):
        sigma = draw.uniform(0.2, 0.5) * factor**share
        small = apply_psf(small, gaussian_psf(sigma, sigma, 0.0), linear=False).clamp(0.0, 1.0)
        small = _reduce(small, factor**share, draw.choice(REDUCE, REDUCE_WEIGHTS))
        small = small + draw.log_uniform(0.5, 8) / 255 * clumped_noise(draw, small.shape, 1.0).to(image)
        small = _compress(small.clamp(0.0, 1.0), draw.integer(50, 95), draw)
    return _enlarge(small, image, draw.choice(("cubic", "linear", "lanczos"), (2, 1, 1)))


def sharpened(image: Tensor, draw: Draw, *, severity: float) -> Tensor:
    """Reduce and enlarge [3, H, W] in 0..1 and sharpen what is left: ringing and halos."""
    small = sharpen(_reduce(image, draw.log_level(severity, 1.8, 7.0), "lanczos"), draw.uniform(0.3, 1.5))
    return sharpen(_enlarge(small.clamp(0.0, 1.0), image, "lanczos"), draw.uniform(0.5, 2.0))


def _reduce(image: Tensor, factor: float, kernel: str, factor_y: float | None = None) -> Tensor:
    """Reduce [3, H, W] along x by `factor` and along y by another or the same; at least 2 pixels a side are left."""
    height, width = image.shape[1:]
    factors = max(factor_y or factor, 1.0), max(factor, 1.0)
    return resample(
        image, (max(round(height / factors[0]), 2), max(round(width / factors[1]), 2)), kernel=kernel
    ).clamp(0.0, 1.0)


def _enlarge(small: Tensor, image: Tensor, kernel: str) -> Tensor:
    """Enlarge [3, h, w] to the size of `image` [3, H, W]."""
    return resample(small, (image.shape[1], image.shape[2]), kernel=kernel)


def _compress(image: Tensor, quality: int, draw: Draw) -> Tensor:
    """Compress [3, H, W] in 0..1 by JPEG, its colors at full or half size."""
    return compress_jpeg(image.movedim(0, -1), quality, draw.choice((0, 2), (1, 2))).movedim(-1, 0).to(image)
