"""SCM: the structure correction that brings the degraded picture's content back into the generated one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import InputError
from ..networks.nafnet import NAFNet


def correct(scm: NAFNet, degraded: Tensor, generated: Tensor) -> Tensor:
    """Return the generated picture plus the whole residual, not clamped (paper section 3.4).

    Args:
        scm: the correction network.
        degraded: [B, 3, H, W] in -1..1.
        generated: the same shape.

    Returns float32 [B, 3, H, W].
    """
    dtype = scm.intro.weight.dtype
    return scm(degraded.to(dtype), generated.to(dtype)).float()


def lerp_correction(generated: Tensor, corrected: Tensor, weight: float | Tensor | Sequence[float]) -> Tensor:
    """Return generated + weight * (corrected - generated); 0 and 1 give the two pictures bit for bit.

    Args:
        generated: [B, H, W, 3].
        corrected: the same shape.
        weight: one for all pictures, a tensor per picture or pixel, or a list with one for each picture.
    """
    if isinstance(weight, Sequence):
        if len(weight) != len(generated):
            raise InputError(f"weight must be one, or one for each of the {len(generated)} pictures, got {len(weight)}")
        rows = zip(generated.split(1), corrected.split(1), weight, strict=True)
        return torch.cat([lerp_correction(*row) for row in rows])
    if isinstance(weight, (int, float)) and weight in (0, 1):
        return corrected if weight else generated
    return generated + weight * (corrected - generated)


def scm_weight(label: str | None, table: Mapping[str, float], setting: float | Mapping[str, float] | None) -> float:
    """Return the strength of the correction after `label` won: the setting, else the file's table, else 1."""
    if isinstance(setting, (int, float)):
        return float(setting)
    return {**table, **(setting or {})}.get(label or "", 1.0)
