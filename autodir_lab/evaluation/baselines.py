"""Classical methods with published settings, which are given the degradation: what a user would try instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from autodir_core.imaging.layout import from_uint8, to_uint8
from autodir_core.optional_imports import optional_import

with optional_import("cv2", alternative="leave --baselines out"):
    import cv2

Pixels = np.ndarray
"""float32 RGB [H, W, 3] in 0..1, or [H, W] for one value per pixel."""

NLM_STRENGTH, NLM_PATCH, NLM_SEARCH = 0.8, 7, 21
"""h in units of the estimated noise, as in scikit-image's example; the windows are OpenCV's defaults."""
MEDIAN_WINDOW = 5
CLAHE_LIMIT, CLAHE_TILES = 2.0, (8, 8)
UNSHARP_RADIUS, UNSHARP_AMOUNT = 1.0, 1.0
DEHAZE_OMEGA, DEHAZE_PATCH, MIN_TRANSMISSION, AIRLIGHT_FRACTION = 0.95, 15, 0.1, 0.001
GUIDE_RADIUS, GUIDE_EPSILON = 60, 1e-3


def non_local_means(image: Pixels) -> Pixels:
    """Denoise by non-local means (Buades et al. 2005), with a strength from the estimated noise."""
    strength = max(NLM_STRENGTH * 255 * estimate_noise(image), 1.0)
    denoised = cv2.fastNlMeansDenoisingColored(
        cv2.cvtColor(quantize(image), cv2.COLOR_RGB2BGR), None, strength, strength, NLM_PATCH, NLM_SEARCH
    )
    return dequantize(cv2.cvtColor(denoised, cv2.COLOR_BGR2RGB))


def estimate_noise(image: Pixels) -> float:
    """Estimate the standard deviation of the noise (Immerkaer 1996), mean over the color channels."""
    laplacian = cv2.filter2D(image, -1, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32))
    return math.sqrt(math.pi / 2) / 6 * float(np.abs(laplacian[1:-1, 1:-1]).mean())


def unsharp_mask(image: Pixels) -> Pixels:
    """Sharpen by an unsharp mask with the default settings of scikit-image."""
    return image + UNSHARP_AMOUNT * (image - cv2.GaussianBlur(image, (0, 0), UNSHARP_RADIUS))


def median_filter(image: Pixels) -> Pixels:
    """Apply the median filter of OpenCV's tutorial."""
    return dequantize(cv2.medianBlur(quantize(image), MEDIAN_WINDOW))


def gamma_correction(image: Pixels) -> Pixels:
    """Apply the power that takes the mean gray to one half."""
    gray = float(np.clip(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean(), 1e-3, 1 - 1e-3))
    return image ** np.float32(math.log(0.5) / math.log(gray))


def clahe(image: Pixels) -> Pixels:
    """Equalize the histogram of the lightness by CLAHE, with the settings of OpenCV's tutorial."""
    lab = cv2.cvtColor(quantize(image), cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(CLAHE_LIMIT, CLAHE_TILES).apply(lab[..., 0])
    return dequantize(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def dehaze_dark_channel(image: Pixels) -> Pixels:
    """Dehaze by the dark channel prior (He et al. 2009), refining the transmission by a guided filter (2010)."""
    light = estimate_airlight(image)
    transmission = 1 - DEHAZE_OMEGA * dark_channel(image / light)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    refined = guided_filter(transmission, gray)[..., None]
    return (image - light) / np.maximum(refined, MIN_TRANSMISSION) + light


def dark_channel(image: Pixels) -> Pixels:
    """Return the smallest value of all channels in the patch around each pixel: [H, W]."""
    return cv2.erode(image.min(axis=-1), np.ones((DEHAZE_PATCH, DEHAZE_PATCH), np.uint8))


def estimate_airlight(image: Pixels) -> Pixels:
    """Return the brightest of the pixels with the highest dark channel: [3], above 0."""
    count = max(round(AIRLIGHT_FRACTION * image.shape[0] * image.shape[1]), 1)
    haziest = image.reshape(-1, 3)[np.argsort(dark_channel(image), axis=None)[-count:]]
    return np.maximum(haziest[haziest.sum(axis=1).argmax()], 1e-3)


def guided_filter(source: Pixels, guide: Pixels) -> Pixels:
    """Smooth `source` [H, W] along the edges of `guide` [H, W] (He et al. 2010)."""

    def mean(x: Pixels) -> Pixels:
        return cv2.blur(x, (2 * GUIDE_RADIUS + 1,) * 2)

    slope = (mean(guide * source) - mean(guide) * mean(source)) / (
        mean(guide * guide) - mean(guide) ** 2 + GUIDE_EPSILON
    )
    offset = mean(source) - slope * mean(guide)
    return mean(slope) * guide + mean(offset)


def quantize(image: Pixels) -> np.ndarray:
    """Return uint8 in 0..255, as OpenCV's filters take it."""
    return to_uint8(torch.from_numpy(image)).numpy()


def dequantize(image: np.ndarray) -> Pixels:
    """Return float32 in 0..1."""
    return from_uint8(image).numpy()


BASELINES: Mapping[str, Mapping[str, Callable[[Pixels], Pixels]]] = {
    "noise": {"non-local means": non_local_means},
    "blur": {"unsharp mask": unsharp_mask},
    "rain": {"median filter": median_filter},
    "underexposure": {"gamma": gamma_correction, "CLAHE": clahe},
    "haze": {"dark channel": dehaze_dark_channel},
    # Interpolation is the usual method, but it already made the input: its quality is the column "before".
    "low resolution": {"unsharp mask": unsharp_mask},
    "raindrop": {"median filter": median_filter},
}
"""Label -> classical methods by name."""


def apply_baselines(image: Tensor, label: str) -> dict[str, Tensor]:
    """Apply each classical method for a label to [1, H, W, 3]; return results of that shape in 0..1 by method name."""
    pixels = image[0].clamp(0, 1).float().cpu().numpy()
    return {
        name: torch.from_numpy(np.clip(method(pixels), 0, 1).astype(np.float32))[None].to(image.device)
        for name, method in BASELINES.get(label, {}).items()
    }
