"""Where the networks run and in which precision each of them is safe."""

from __future__ import annotations

import torch

from .choices import PRECISIONS
from .errors import InputError


def best_device() -> torch.device:
    """CUDA when there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def parse_device(device: str | torch.device | None) -> torch.device:
    """Return the named device, or the best one for None; InputError where it does not work here."""
    if device is None:
        return best_device()
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {str(device)!r} cannot be used here ({reason}); try cpu") from error
    return found


def parse_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return the precision of a name of `PRECISIONS`, or one of these dtypes itself; InputError for any other."""
    return getattr(torch, PRECISIONS.check(str(dtype).removeprefix("torch.")))


def natural_dtype(device: torch.device) -> torch.dtype:
    """float16 on CUDA; float32 elsewhere, where half precision is slower or not exact enough."""
    return torch.float16 if device.type == "cuda" else torch.float32


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the order in memory in which convolutions are fastest: channels last, except on MPS."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def network_dtype(network: str, dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Precision in which "unet", "vae", "clip" or "scm" is safe.

    VAE and SCM overflow in float16: they take bfloat16 where the GPU computes in it, else float32.
    """
    if dtype != torch.float16 or network not in ("scm", "vae"):
        return dtype
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device is a GPU that computes in bfloat16."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def wider_dtypes(dtype: torch.dtype, device: torch.device) -> tuple[torch.dtype, ...]:
    """Return the precisions of a wider range to try in turn where a network's values overflow; none for float32."""
    if dtype == torch.float16 and has_bfloat16(device):
        return torch.bfloat16, torch.float32
    return () if dtype == torch.float32 else (torch.float32,)
