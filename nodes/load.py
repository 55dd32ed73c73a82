"""AutoDIR Load Model."""

from __future__ import annotations

from pathlib import Path

import torch

from ..autodir_core.checkpoint.load import load_networks
from ..autodir_core.choices import PRECISIONS
from ..autodir_core.devices import memory_format, network_dtype, parse_dtype
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
        return file_path(file).stat().st_mtime_ns

    def load(self, file: str, precision: str) -> tuple[HostedModel]:
        device = devices.load_device()
        networks, plan = load_networks(
            file_path(file), lambda key: choose_dtype(key.partition(".")[0], precision, device)
        )
        networks.to(memory_format=memory_format(device))
        return (HostedModel(AutoDIR(networks, plan.config, plan.metadata)),)


def file_path(file: str) -> Path:
    """Return the path of an entry of the list."""
    return MINI if file == EMBEDDED else Path(folders.model_path(file))


def choose_dtype(network: str, precision: str, device: torch.device) -> torch.dtype:
    """Return the precision of one network ("unet", "vae", "clip" or "scm")."""
    if precision != AUTO:
        return network_dtype(network, parse_dtype(precision), device)
    return devices.vae_dtype() if network == "vae" else network_dtype(network, devices.unet_dtype(), device)
