"""Degradations of the library albumentations (MIT), to measure a model on damage that no code of ours made."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from torch import Tensor

from autodir_core.choices import DEGRADATIONS
from autodir_core.errors import InputError
from autodir_core.imaging.layout import from_uint8, to_uint8
from autodir_core.optional_imports import optional_import

with optional_import("albumentations", alternative="choose another --degrader"):
    import albumentations as A

Value = TypeVar("Value", int, float)

Transform = Callable[[float], Any]
"""Severity 0..1 -> a transform of albumentations."""


def exactly(value: Value) -> tuple[Value, Value]:
    """Return the range of one value."""
    return value, value


def between(severity: float, mild: float, severe: float) -> tuple[float, float]:
    """Return the range of one value, geometric between `mild` at severity 0 and `severe` at 1."""
    return exactly(mild * (severe / mild) ** severity)


def odd(severity: float, mild: float, severe: float) -> tuple[int, int]:
    """Return the range of one odd kernel size."""
    return exactly(int(between(severity, mild, severe)[0]) // 2 * 2 + 1)


def rain(rain_type: Literal["default", "drizzle", "heavy", "torrential"]) -> Transform:
    """Return the library's rain of one type; its strokes grow with severity, and its clouds."""
    return lambda s: A.RandomRain(
        rain_type=rain_type, drop_width=1 + round(2 * s), brightness_coefficient=0.95 - 0.25 * s, blur_value=3, p=1
    )


KINDS: Mapping[str, Mapping[str, Transform]] = {
    "noise": {
        "GaussNoise": lambda s: A.GaussNoise(std_range=between(s, 0.03, 0.25), p=1),
        "ISONoise": lambda s: A.ISONoise(color_shift=between(s, 0.01, 0.08), intensity=between(s, 0.2, 1.0), p=1),
        "ShotNoise": lambda s: A.ShotNoise(scale_range=between(s, 0.05, 0.5), p=1),
    },
    "blur": {
        "MotionBlur": lambda s: A.MotionBlur(blur_limit=odd(s, 5, 31), p=1),
        "Defocus": lambda s: A.Defocus(radius=exactly(round(2 + 6 * s)), p=1),
        "GaussianBlur": lambda s: A.GaussianBlur(sigma_limit=between(s, 1.0, 5.0), p=1),
        "ZoomBlur": lambda s: A.ZoomBlur(max_factor=between(s, 1.04, 1.2), p=1),
    },
    "rain": {
        "default": rain("default"),
        "drizzle": rain("drizzle"),
        "heavy": rain("heavy"),
        "torrential": rain("torrential"),
    },
    "raindrop": {
        "Spatter": lambda s: A.Spatter(
            cutout_threshold=exactly(0.72 - 0.08 * s), intensity=exactly(0.4 + 0.4 * s), mode="rain", p=1
        )
    },
    "underexposure": {
        "RandomGamma": lambda s: A.RandomGamma(gamma_limit=between(s, 170, 420), p=1),
        "RandomBrightnessContrast": lambda s: A.RandomBrightnessContrast(
            brightness_limit=exactly(-0.25 - 0.4 * s), contrast_limit=(0, 0), p=1
        ),
    },
    "haze": {"RandomFog": lambda s: A.RandomFog(fog_coef_range=exactly(0.3 + 0.6 * s), p=1)},
    "low resolution": {"Downscale": lambda s: A.Downscale(scale_range=between(s, 0.55, 0.15), p=1)},
    "jpeg artifact": {"ImageCompression": lambda s: A.ImageCompression(quality_range=exactly(round(40 - 34 * s)), p=1)},
}
"""Label -> name of the transform, or of its type -> the transform at a severity."""


def draw_kind(label: str, seed: int) -> str:
    """Return the kind of a label that a seed draws; InputError for a label that the library has nothing for."""
    if label not in KINDS:
        raise InputError(
            f"albumentations has nothing for {label!r}, only for: {', '.join(KINDS)}; use another --degrader"
        )
    return list(KINDS[label])[zlib.crc32(f"{seed} {label}".encode()) % len(KINDS[label])]


def compose(image: Tensor, labels: Sequence[str], kinds: Sequence[str], *, severity: float, seed: int) -> Tensor:
    """Degrade [1, H, W, 3] in 0..1 by a kind of each label, in the order of image formation; in 8 bits."""
    pixels = to_uint8(image[0]).cpu().numpy()
    for label, kind in sorted(zip(labels, kinds, strict=True), key=lambda pair: list(DEGRADATIONS).index(pair[0])):
        pixels = A.Compose([KINDS[label][kind](severity)], seed=seed)(image=pixels)["image"]
    return from_uint8(pixels)[None].to(image.device)
