"""Color profiles of curves, and of a matrix in color, at full precision (ICC.1); littleCMS in Pillow knows 8 bits."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

GRAY_CURVE, CURVES = b"kTRC", (b"rTRC", b"gTRC", b"bTRC")
PRIMARIES = (b"rXYZ", b"gXYZ", b"bXYZ")
TABLES = (b"A2B0", b"A2B1", b"A2B2", b"D2B0")
"""What a profile converts by, where it has it, in place of its curves."""

SPACES = {1: b"GRAYXYZ ", 3: b"RGB XYZ "}
"""By the number of channels what a profile of curves has in its head: of which colors it is, and to which they lead."""

SRGB_GAMMA, GAMMA_TOLERANCE = 1 / 2.2, 0.05
"""What a PNG file states for sRGB, and how far from it a gamma is taken for that."""

ROWS = 256
"""Rows of a picture that are converted together, which bounds the memory."""

Curve = Callable[[np.ndarray], np.ndarray]


def convert_exactly(color: Tensor, icc_profile: bytes, srgb: bytes) -> Tensor | None:
    """Convert [H, W, 1 or 3] in 0..1 to sRGB, whose profile is given too; None by a profile of more than curves.

    Raises what `struct` and NumPy raise where the profile is damaged.
    """
    tags, channels = read_tags(icc_profile), color.shape[-1]
    names = CURVES if channels == len(CURVES) else (GRAY_CURVE,)
    if icc_profile[16:24] != SPACES[channels] or tags.keys() & set(TABLES) or not tags.keys() >= set(names):
        return None
    curves = [read_curve(tags[name]) for name in names]
    matrix = np.eye(1)
    if channels == len(CURVES):
        matrix = np.linalg.solve(read_matrix(read_tags(srgb)), read_matrix(tags))
    parts = color.split(ROWS)
    return torch.cat([torch.from_numpy(_convert(part.numpy(), curves, matrix)) for part in parts])


def _convert(color: np.ndarray, curves: list[Curve], matrix: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):  # a damaged profile's numbers may lead anywhere
        light = np.stack([curve(color[..., i].astype(np.float64)) for i, curve in enumerate(curves)], -1)
        return encode_srgb(np.nan_to_num(light @ matrix.T)).astype(np.float32)


def apply_gamma(color: Tensor, info: Mapping[Any, Any]) -> Tensor:
    """Convert colors in 0..1 that have no profile to sRGB by the gamma that a PNG file states, where it is another."""
    gamma = info.get("gamma") or SRGB_GAMMA
    if "srgb" in info or abs(gamma / SRGB_GAMMA - 1) <= GAMMA_TOLERANCE:
        return color
    with np.errstate(all="ignore"):
        return torch.cat([torch.from_numpy(_from_gamma(part.numpy(), gamma)) for part in color.split(ROWS, dim=-3)], -3)


def _from_gamma(color: np.ndarray, gamma: float) -> np.ndarray:
    return encode_srgb(color.astype(np.float64) ** (1 / gamma)).astype(np.float32)


def encode_srgb(light: np.ndarray) -> np.ndarray:
    """Return the values of sRGB for light in 0..1 (IEC 61966-2-1); what lies outside is cut off."""
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def read_tags(icc_profile: bytes) -> dict[bytes, bytes]:
    """Return the content of each tag of a profile, by its name."""
    (count,) = struct.unpack_from(">I", icc_profile, 128)
    entries = (
        struct.unpack_from(">4sII", icc_profile, 132 + 12 * i) for i in range(min(count, len(icc_profile) // 12))
    )
    return {name: icc_profile[start : start + length] for name, start, length in entries}


def read_matrix(tags: dict[bytes, bytes]) -> np.ndarray:
    """Return the matrix from linear red, green and blue to XYZ, as D50 sees them."""
    return np.array([_fixed(tags[name][8:20]) for name in PRIMARIES]).T


def read_curve(tag: bytes) -> Curve:
    """Return the function from a channel's value to light, both in 0..1: of a table, a power, or a formula."""
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        return _formula(kind, *_fixed(tag[12:]))
    if tag[:4] != b"curv":
        raise ValueError(f"no curve: {tag[:4]!r}")
    (count,) = struct.unpack_from(">I", tag, 8)
    values = np.array(struct.unpack_from(f">{count}H", tag, 12))
    if count > 1:
        return lambda x: np.interp(x, np.linspace(0, 1, count), values / 65535)
    power = values[0] / 256 if count else 1.0
    return lambda x: x**power


def _formula(kind: int, *numbers: float) -> Curve:
    """Return (a x + b)^g + e from x = d on, c x + f below it; a kind of formula is which of these are given."""
    g, a, b, c, d, e, f = {
        0: lambda g, *_: (g, 1, 0, 0, 0, 0, 0),
        1: lambda g, a, b, *_: (g, a, b, 0, -b / a, 0, 0),
        2: lambda g, a, b, c, *_: (g, a, b, 0, -b / a, c, c),
        3: lambda g, a, b, c, d, *_: (g, a, b, c, d, 0, 0),
        4: lambda g, a, b, c, d, e, f, *_: (g, a, b, c, d, e, f),
    }[kind](*numbers)
    return lambda x: np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)


def _fixed(content: bytes) -> tuple[float, ...]:
    """Return the numbers of a profile, of 16 bits and 16 bits of a fraction."""
    return tuple(value / 65536 for value in struct.unpack(f">{len(content) // 4}i", content[: len(content) // 4 * 4]))
