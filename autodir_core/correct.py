"""SCM: the structure correction that brings the degraded picture's content back into the generated one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .nafnet import NAFNet


def correct(scm: NAFNet, degraded: Tensor, generated: Tensor) -> Tensor:
    """The generated picture plus the whole residual, float32 [B, 3, H, W] in -1..1, not clamped (paper section 3.4)."""
    dtype = scm.intro.weight.dtype
    return scm(degraded.to(dtype), generated.to(dtype)).float()


def weigh(generated: Tensor, corrected: Tensor, weight: float | Tensor) -> Tensor:
    """generated + weight * (corrected - generated); weights of 0 and 1 give the two pictures bit for bit."""
    if isinstance(weight, (int, float)) and weight in (0, 1):
        return corrected if weight else generated
    return generated + weight * (corrected - generated)


def scm_weight(label: str | None, table: Mapping[str, float], setting: float | Mapping[str, float] | None) -> float:
    """Strength of the correction after `label` won: the setting, else the file's table, else 1."""
    if isinstance(setting, (int, float)):
        return float(setting)
    return {**table, **(setting or {})}.get(label or "", 1.0)
