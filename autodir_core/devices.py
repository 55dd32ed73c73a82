"""Where the networks run and in which precision each of them is safe."""

from __future__ import annotations

import torch

from .checkpoint.load import DTYPES
from .errors import InputError


def best_device() -> torch.device:
    """CUDA when there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def parse_device(device: str | torch.device | None) -> torch.device:
    """The named device, or the best one for None; InputError where it is not there."""
    if device is None:
        return best_device()
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {str(device)!r} cannot be used here ({reason}); try cpu") from error
    return found


def parse_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """A precision by its name; InputError for others than float32, float16 and bfloat16."""
    if isinstance(dtype, str):
        if dtype not in DTYPES:
            raise InputError(f"unknown precision {dtype!r}; choose among: {', '.join(DTYPES)}")
        return DTYPES[dtype]
    if dtype is not None and dtype not in DTYPES.values():
        raise InputError(f"unknown precision {dtype}; choose among: {', '.join(DTYPES)}")
    return dtype


def natural_dtype(device: torch.device) -> torch.dtype:
    """float16 on CUDA; float32 elsewhere, where half precision is slower or not exact enough."""
    return torch.float16 if device.type == "cuda" else torch.float32


def part_dtype(part: str, dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Precision of one network: SCM and VAE overflow in float16; there bfloat16 if the GPU has it, else float32."""
    if dtype != torch.float16 or part not in ("scm", "vae"):
        return dtype
    wide_range = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if wide_range else torch.float32
