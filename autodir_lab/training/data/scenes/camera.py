"""From the light of a scene to a picture: exposure, tone curve, grain and compression."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from autodir_core.imaging import filters


def take_photograph(rng: np.random.Generator, radiance: np.ndarray) -> np.ndarray:
    """Render linear radiance as a camera does: softness, exposure, tones, grain, sometimes JPEG; uint8 [H, W, 3]."""
    size = len(radiance)
    softness = float(rng.uniform(0.0, 0.8))
    if softness > 0.25:
        radiance = gaussian_blur(radiance, softness)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    vignette = 1 - rng.uniform(0, 0.3) * (rng.random() < 0.4) * (x * x + y * y)
    slope = np.exp(rng.normal(0, 0.25) * x + rng.normal(0, 0.25) * y)
    encoded = tone_map(rng, radiance * (vignette * slope).astype(np.float32)[..., None])
    levels = encoded * 255 + sensor_grain(rng, encoded)
    picture = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return compress_jpeg(picture, int(rng.integers(75, 99))) if rng.random() < 0.35 else picture


def tone_map(rng: np.random.Generator, radiance: np.ndarray) -> np.ndarray:
    """Apply exposure to a drawn key, a highlight shoulder, display gamma and contrast; returns about 0..1."""
    luminance = radiance @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    key = rng.uniform(0.6, 0.8) if rng.random() < 0.1 else np.clip(rng.normal(0.46, 0.09), 0.25, 0.7)
    exposed = radiance * np.float32(1.1 * key**2.2 / np.mean(np.sqrt(luminance)) ** 2)
    shoulder = rng.uniform(2.0, 5.0)
    exposed /= (1 + np.minimum(exposed, 50) ** shoulder) ** (1 / shoulder)
    encoded = np.maximum(exposed, 0) ** np.float32(1 / 2.2)
    encoded += np.float32(rng.uniform(-0.1, 0.6)) * (encoded * encoded * (3 - 2 * encoded) - encoded)
    if rng.random() < 0.13:
        return low_key(rng, encoded)
    return stretch_contrast(encoded, strength=float(rng.beta(1.5, 1.5)))


def low_key(rng: np.random.Generator, encoded: np.ndarray) -> np.ndarray:
    """Darken to a night or stage picture, whose lights stay bright, unlike those of an underexposed one."""
    scaled = encoded / max(float(np.quantile(encoded[::8, ::8], 0.995)), 0.05)
    key = rng.uniform(0.08, 0.27)
    gamma = float(np.clip(math.log(key) / math.log(min(float(scaled.mean()), 0.9)), 1.0, 3.5))
    return np.float32(rng.uniform(0.75, 1.05)) * scaled ** np.float32(gamma)


def stretch_contrast(encoded: np.ndarray, *, strength: float) -> np.ndarray:
    """Move black and white points toward the ends by a fraction; the mean, and so the key, stays."""
    dark, bright = np.quantile(encoded[::8, ::8], (0.01, 0.99))
    levelled = (encoded - encoded.mean()) * np.float32(min(0.95 / max(bright - dark, 0.05), 2.5)) + encoded.mean()
    return encoded + np.float32(strength) * (levelled - encoded)


def sensor_grain(rng: np.random.Generator, encoded: np.ndarray) -> np.ndarray:
    """Draw sensor grain in gray levels, mostly of luminance, below two levels."""
    amount = rng.uniform(0, 1.6) * (rng.random() < 0.75)
    grain = rng.standard_normal((*encoded.shape[:2], 1), dtype=np.float32)
    color = rng.standard_normal(encoded.shape, dtype=np.float32)
    return np.float32(amount) * (0.85 * grain + 0.4 * color)


def compress_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """Compress uint8 [H, W, 3]; without torch, because scenes are drawn in forked processes."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def gaussian_blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """Blur [H, W, C] by a Gaussian with mirrored borders; wide blurs are done at half size."""
    height, width = values.shape[:2]
    if sigma > 4 and min(height, width) >= 32 and height % 2 == 0 and width % 2 == 0:
        return upscale(gaussian_blur(downscale(values, 2), math.sqrt(sigma**2 / 4 - 0.1)))
    return filters.gaussian_blur(values, sigma, truncate=2.7)


def downscale(values: np.ndarray, scale: int) -> np.ndarray:
    """Return the means of 2x2 pixels of [H, W] or [H, W, C] for a scale of 2, the very values for 1."""
    if scale == 1:
        return values
    rows = values[0::2] + values[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * 0.25


def upscale(values: np.ndarray) -> np.ndarray:
    """Return [H, W, C] at twice the size, bicubic."""
    size = (values.shape[1] * 2, values.shape[0] * 2)
    planes = [Image.fromarray(np.ascontiguousarray(values[..., c])) for c in range(values.shape[2])]
    return np.stack([np.asarray(plane.resize(size, Image.Resampling.BICUBIC)) for plane in planes], axis=-1)
