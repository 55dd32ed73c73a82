"""A model under ComfyUI's memory management: loading, running out of memory, tiles."""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher

from ...autodir_core.errors import AutoDIRError
from ...autodir_core.model import AutoDIR
from ...autodir_core.networks.build import weight_bytes, weight_dtype
from ...autodir_core.tiling.memory import RESIDENT_SIZE
from ...autodir_core.tiling.sizes import MAX_TILE_SIZE
from .devices import load_device
from .progress import raise_if_interrupted

PEAK_VALUES = 17
"""Values per pixel and base channel at the decoder's peak: ComfyUI's own estimate for the SD VAE, 2178 / 128."""


class HostedModel:
    """A model whose networks ComfyUI moves between memory and GPU; the value of an AUTODIR_MODEL."""

    def __init__(self, model: AutoDIR) -> None:
        self.model = model
        # ComfyUI holds a weak reference: the patcher has to live as long as the networks
        self.patcher = ModelPatcher(
            model.networks,
            load_device=load_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )
        check_interrupts_between_layers(model.networks)
        if self.is_larger_than_gpu():
            model.networks.shared_device = self.patcher.load_device

    def is_larger_than_gpu(self) -> bool:
        """Return whether the GPU, empty, does not hold all networks and a small image: then they take turns on it."""
        device = self.patcher.load_device
        if device.type in ("cpu", "mps"):
            return False
        needed = weight_bytes(self.model.networks) + self.memory_required(RESIDENT_SIZE, RESIDENT_SIZE)
        reserved = comfy.model_management.extra_reserved_memory()
        return needed + reserved > comfy.model_management.get_total_memory(device)

    def load(self, height: int = 0, width: int = 0) -> AutoDIR:
        """Load all networks, with memory to spare for one image of this size in pixels, and return the model.

        Networks that take turns come to the GPU by themselves and leave it after their work; other models make room.
        """
        required = self.memory_required(height, width)
        if self.model.networks.shared_device:
            largest = max(weight_bytes(network) for network in self.model.networks.children())
            comfy.model_management.free_memory(largest + required, self.patcher.load_device)
        else:
            comfy.model_management.load_models_gpu([self.patcher], memory_required=required, force_full_load=True)
            self.load_remaining_weights()
        return self.model

    def memory_required(self, height: int, width: int) -> int:
        """Return the bytes that the decoder needs at its peak for one image of this size, or for a tile of it."""
        values = PEAK_VALUES * self.model.config.vae.channels[0] * min(height * width, MAX_TILE_SIZE**2)
        return values * weight_dtype(self.model.networks.vae).itemsize

    @contextmanager
    def loaded_for(self, height: int, width: int) -> Iterator[AutoDIR]:
        """Load the model to restore images of this size in pixels, one at a time.

        An image that does not fit into memory is restored in tiles. Raises AutoDIRError with advice where not even the
        smallest ones fit.
        """
        try:
            yield self.load(height, width).tiled(free_memory=comfy.model_management.get_free_memory)
        except comfy.model_management.OOM_EXCEPTION as error:
            comfy.model_management.unload_all_models()
            comfy.model_management.soft_empty_cache()
            raise AutoDIRError(out_of_memory_message(height, width, self.model.dtype)) from error

    def load_remaining_weights(self) -> None:
        """Move the weights that ComfyUI left behind: `--novram` loads no plain torch layer, yet counts it as loaded."""
        networks, device = self.model.networks, self.patcher.load_device
        if any(parameter.device.type != device.type for parameter in networks.parameters()):
            networks.to(device)
            # ComfyUI's own count of the bytes on the GPU
            networks.model_loaded_weight_memory = self.patcher.model_size()


def out_of_memory_message(height: int, width: int, dtype: torch.dtype) -> str:
    """Return what to do about an image that does not fit into memory, not even in tiles."""
    precision = "choose float16 in AutoDIR Load Model, " if dtype == torch.float32 else ""
    return (
        f"the memory of {load_device()} does not hold a picture of {width} x {height} pixels, not even in tiles; scale "
        f"it down, {precision}close other programs that use the GPU, or remove other models from the workflow"
    )


def check_interrupts_between_layers(networks: torch.nn.Module) -> None:
    """Check for the cancel button before every convolution and layer norm: a tile keeps a CPU busy for seconds."""
    for layer in networks.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.LayerNorm)):
            layer.register_forward_pre_hook(lambda module, inputs: raise_if_interrupted())
