"""What a user would reach for instead: classical methods with published settings, which are told the degradation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autodir_core.imaging.layout import from_uint8, to_uint8
from autodir_core.optional_imports import optional_import

with optional_import("cv2", alternative="leave --baselines out"):
    import cv2

Pixels = np.ndarray
"""float32 [H, W, 3], red, green, blue in 0..1; [H, W] where one value per pixel is meant."""

NLM_STRENGTH, NLM_PATCH, NLM_SEARCH = 0.8, 7, 21
"""h in units of the estimated noise, as in scikit-image's example; the windows are OpenCV's defaults."""
MEDIAN_WINDOW = 5
CLAHE_LIMIT, CLAHE_TILES = 2.0, (8, 8)
UNSHARP_RADIUS, UNSHARP_AMOUNT = 1.0, 1.0
HAZE_KEPT, HAZE_PATCH, HAZE_FLOOR, HAZE_BRIGHTEST = 0.95, 15, 0.1, 0.001
GUIDE_RADIUS, GUIDE_EPSILON = 60, 1e-3


def non_local_means(image: Pixels) -> Pixels:
    """Non-local means of Buades et al. 2005 in OpenCV, its strength from the noise in the picture."""
    strength = max(NLM_STRENGTH * 255 * noise_of(image), 1.0)
    done = cv2.fastNlMeansDenoisingColored(
        cv2.cvtColor(in_bytes(image), cv2.COLOR_RGB2BGR), None, strength, strength, NLM_PATCH, NLM_SEARCH
    )
    return in_floats(cv2.cvtColor(done, cv2.COLOR_BGR2RGB))


def noise_of(image: Pixels) -> float:
    """The standard deviation of the noise (Immerkaer 1996), mean over colours."""
    laplacian = cv2.filter2D(image, -1, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32))
    return math.sqrt(math.pi / 2) / 6 * float(np.abs(laplacian[1:-1, 1:-1]).mean())


def sharpened(image: Pixels) -> Pixels:
    """Unsharp mask with the default settings of scikit-image."""
    return image + UNSHARP_AMOUNT * (image - cv2.GaussianBlur(image, (0, 0), UNSHARP_RADIUS))


def median(image: Pixels) -> Pixels:
    """Median of the window that OpenCV's tutorial takes."""
    return in_floats(cv2.medianBlur(in_bytes(image), MEDIAN_WINDOW))


def gamma(image: Pixels) -> Pixels:
    """The power that takes the mean grey to one half."""
    grey = float(np.clip(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean(), 1e-3, 1 - 1e-3))
    return image ** np.float32(math.log(0.5) / math.log(grey))


def clahe(image: Pixels) -> Pixels:
    """Contrast limited adaptive histogram equalisation of the lightness, with the settings of OpenCV's tutorial."""
    lab = cv2.cvtColor(in_bytes(image), cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(CLAHE_LIMIT, CLAHE_TILES).apply(lab[..., 0])
    return in_floats(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def dark_channel(image: Pixels) -> Pixels:
    """Dehazing of He et al. 2009 with its settings, the transmission refined by their guided filter of 2010."""
    light = airlight(image)
    transmission = 1 - HAZE_KEPT * darkest(image / light)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    refined = guided(transmission, grey)[..., None]
    return (image - light) / np.maximum(refined, HAZE_FLOOR) + light


def darkest(image: Pixels) -> Pixels:
    """The smallest value of all colours in a patch: [H, W]."""
    return cv2.erode(image.min(axis=-1), np.ones((HAZE_PATCH, HAZE_PATCH), np.uint8))


def airlight(image: Pixels) -> Pixels:
    """The brightest of the pixels with the haziest patches: three colours above 0."""
    count = max(round(HAZE_BRIGHTEST * image.shape[0] * image.shape[1]), 1)
    haziest = image.reshape(-1, 3)[np.argsort(darkest(image), axis=None)[-count:]]
    return np.maximum(haziest[haziest.sum(axis=1).argmax()], 1e-3)


def guided(source: Pixels, guide: Pixels) -> Pixels:
    """The guided filter of He et al. 2010: `source` [H, W] with the edges of `guide` [H, W]."""

    def mean(x: Pixels) -> Pixels:
        return cv2.blur(x, (2 * GUIDE_RADIUS + 1,) * 2)

    slope = (mean(guide * source) - mean(guide) * mean(source)) / (
        mean(guide * guide) - mean(guide) ** 2 + GUIDE_EPSILON
    )
    offset = mean(source) - slope * mean(guide)
    return mean(slope) * guide + mean(offset)


def in_bytes(image: Pixels) -> np.ndarray:
    return to_uint8(torch.from_numpy(image)).numpy()


def in_floats(image: np.ndarray) -> Pixels:
    return from_uint8(image).numpy()


@dataclass(frozen=True)
class Baseline:
    """A classical method for one degradation."""

    label: str
    name: str
    apply: Callable[[Pixels], Pixels]


BASELINES = (
    Baseline("noise", "non-local means", non_local_means),
    Baseline("blur", "unsharp mask", sharpened),
    Baseline("rain", "median filter", median),
    Baseline("underexposure", "gamma", gamma),
    Baseline("underexposure", "CLAHE", clahe),
    Baseline("haze", "dark channel", dark_channel),
    # Nothing finer is known of an enlarged picture: the enlarging itself stands in the column "before".
    Baseline("low resolution", "unsharp mask", sharpened),
    Baseline("raindrop", "median filter", median),
)


def classical(image: Tensor, label: str) -> dict[str, Tensor]:
    """What each classical method for a label makes of [1, H, W, 3]: the same shape in 0..1, by the method's name."""
    pixels = image[0].clamp(0, 1).float().cpu().numpy()
    return {
        method.name: torch.from_numpy(np.clip(method.apply(pixels), 0, 1).astype(np.float32))[None].to(image.device)
        for method in BASELINES
        if method.label == label
    }
