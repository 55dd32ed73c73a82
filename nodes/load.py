"""AutoDIR Load Model."""

from __future__ import annotations

from pathlib import Path

import torch

from ..autodir_core.checkpoint.load import load_networks
from ..autodir_core.choices import PRECISIONS
from ..autodir_core.devices import network_dtype, parse_dtype
from ..autodir_core.model import MINI, AutoDIR
from .comfy import devices, folders
from .comfy.memory import HostedModel

EMBEDDED = "autodir-mini (embedded)"
AUTO = "auto"


class AutoDIRLoadModel:
    DISPLAY_NAME = "AutoDIR Load Model"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Loads an AutoDIR model: assessment, diffusion and structure correction from one file. The embedded mini model "
        "needs no download; put the official checkpoint, or one you trained, into models/autodir."
    )
    SEARCH_ALIASES = ["image restoration", "autodir checkpoint", "load restoration model"]
    RETURN_TYPES = ("AUTODIR_MODEL",)
    RETURN_NAMES = ("model",)
    OUTPUT_TOOLTIPS = ("The model for all AutoDIR nodes.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "file": (
                    [EMBEDDED, *folders.model_files()],
                    {
                        "tooltip": "The embedded mini model, or a .safetensors, .ckpt or .pt file from models/autodir "
                        "with the official key names."
                    },
                ),
                "precision": (
                    [AUTO, *PRECISIONS],
                    {
                        "tooltip": "Precision of the networks. auto follows ComfyUI: half precision on GPUs that are "
                        "fast with it, float32 elsewhere. In float16 the correction, and the autoencoder too, stay "
                        "wider, because they overflow."
                    },
                ),
            }
        }

    @classmethod
    def IS_CHANGED(cls, file: str, precision: str) -> int:
        return path_of(file).stat().st_mtime_ns

    def load(self, file: str, precision: str) -> tuple[HostedModel]:
        networks, plan, metadata = load_networks(
            path_of(file), lambda key: dtype_of(key.partition(".")[0], precision, devices.load_device())
        )
        return (HostedModel(AutoDIR(networks, plan.config, metadata)),)


def path_of(file: str) -> Path:
    """Where the file of an entry of the list lies."""
    return MINI if file == EMBEDDED else Path(folders.model_path(file))


def dtype_of(part: str, precision: str, device: torch.device) -> torch.dtype:
    """Precision of one network ("unet", "vae", "clip" or "scm")."""
    if precision != AUTO:
        return network_dtype(part, parse_dtype(precision), device)
    return devices.vae_dtype() if part == "vae" else network_dtype(part, devices.unet_dtype(), device)
