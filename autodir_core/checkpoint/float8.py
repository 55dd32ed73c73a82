"""Weights stored in 8 bits: float8 (e4m3), with a scale per output channel that is stored next to each as NAME_scale.

Int8 with the same scales holds much less (docs/benchmarks.md): its steps are even, and most weights are small.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .key_map import CLIP_PREFIX, SCM_PREFIX, UNET_PREFIX

FLOAT8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FLOAT8).max

MIN_VALUES = 2**14
"""Values of a weight from which on it is stored in 8 bits; smaller ones take little and matter more."""

QUANTIZED = (UNET_PREFIX, SCM_PREFIX, f"{CLIP_PREFIX}text_")
"""What is stored in 8 bits. The vision tower is not: the blend of the prompts follows its least error."""

SCALE_SUFFIX = "_scale"


def is_quantized(key: str, tensor: Tensor) -> bool:
    """Return whether a weight is stored in 8 bits."""
    return tensor.ndim > 1 and tensor.numel() >= MIN_VALUES and key.startswith(QUANTIZED)


def quantize(key: str, weight: Tensor) -> dict[str, Tensor]:
    """Return a weight [O, ...] in float8 and its scale [O, 1, ...] in float32, by their names."""
    weight = weight.float()
    peak = weight.abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True)
    scale = (peak / LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
    return {key: (weight / scale).to(FLOAT8), key + SCALE_SUFFIX: scale}


def split_scales(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of a file without the scales, and the scales by the names of their weights."""
    scales = {
        key: tensors[key + SCALE_SUFFIX]
        for key, tensor in tensors.items()
        if tensor.dtype == FLOAT8 and fits(tensors.get(key + SCALE_SUFFIX), tensor)
    }
    names = {key + SCALE_SUFFIX for key in scales}
    return {key: tensor for key, tensor in tensors.items() if key not in names}, scales


def fits(scale: Tensor | None, weight: Tensor) -> bool:
    """Return whether a tensor is the scale of a weight: a number in float32 for each of its rows."""
    rows = (*weight.shape[:1], *[1] * (weight.ndim - 1))
    return scale is not None and scale.dtype == torch.float32 and scale.shape == rows
