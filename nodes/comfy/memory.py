"""A model under ComfyUI's memory management: loading, running out of memory, tiles."""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import nn

from ...autodir_core.errors import AutoDIRError
from ...autodir_core.model import AutoDIR
from ...autodir_core.networks.build import Networks
from ...autodir_core.tiling.memory import bytes_per_pixel
from ...autodir_core.tiling.sizes import MAX_TILE_SIZE
from .devices import load_device
from .progress import raise_if_interrupted

STAGES = {"unet": "sample", "vae": "decode", "scm": "correct"}
"""The stage in which a network needs most beside its weights; CLIP looks at one small crop."""


class AutoDIRNetwork(nn.Module):
    """One network, by the name that ComfyUI's log tells, and with room for the attributes that ComfyUI sets."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


class NetworkPatchers:
    """The networks of a model, each in ComfyUI's care by itself: one that works is on the GPU, with others if they fit.

    Attributes:
        pixels: of the picture that the next work is for.
    """

    def __init__(self, networks: Networks) -> None:
        needs, self.pixels = bytes_per_pixel(networks), 0
        self.needs = {name: needs.get(STAGES.get(name, ""), 0) for name, _ in networks.named_children()}
        # ComfyUI holds weak references: the patchers have to live as long as the networks
        self.patchers = {
            name: ModelPatcher(
                AutoDIRNetwork(network),
                load_device=load_device(),
                offload_device=comfy.model_management.unet_offload_device(),
            )
            for name, network in networks.named_children()
        }

    def load(self, names: Collection[str]) -> None:
        """Bring networks to the GPU, with memory to spare for the picture or for a tile of it."""
        patchers = [self.patchers[name] for name in sorted(names)]
        required = max(self.needs[name] for name in names) * min(self.pixels, MAX_TILE_SIZE**2)
        drop_finalizers(patchers)
        comfy.model_management.load_models_gpu(patchers, memory_required=required, force_full_load=True)
        for patcher in patchers:
            move_remaining_weights(patcher)


def drop_finalizers(patchers: Collection[ModelPatcher]) -> None:
    """Drop the finalizers of models that are to be loaded: ComfyUI makes new ones and would keep the old ones too."""
    for loaded in comfy.model_management.current_loaded_models:
        if loaded.model in patchers and loaded.model_finalizer is not None:
            loaded.model_finalizer.detach()


def move_remaining_weights(patcher: ModelPatcher) -> None:
    """Move the weights that ComfyUI left behind: `--novram` loads no plain torch layer, yet counts it as loaded."""
    module, device = patcher.model, patcher.load_device
    if any(parameter.device.type != device.type for parameter in module.parameters()):
        module.to(device)
        # ComfyUI's own count of the bytes on the GPU
        module.model_loaded_weight_memory = patcher.model_size()


class HostedModel:
    """A model whose networks ComfyUI moves between memory and GPU; the value of an AUTODIR_MODEL."""

    def __init__(self, model: AutoDIR) -> None:
        self.model = model
        self.patchers = NetworkPatchers(model.networks)
        model.networks.shared_device, model.networks.loader = load_device(), self.patchers.load
        check_interrupts_between_layers(model.networks)

    def load(self, height: int = 0, width: int = 0) -> AutoDIR:
        """Return the model, for one image of this size in pixels; ComfyUI loads each network when it is to work."""
        self.patchers.pixels = height * width
        return self.model

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


def out_of_memory_message(height: int, width: int, dtype: torch.dtype) -> str:
    """Return what to do about an image that does not fit into memory, not even in tiles."""
    precision = "choose float16 in AutoDIR Load Model, " if dtype == torch.float32 else ""
    return (
        f"the memory of {load_device()} does not hold a picture of {width} x {height} pixels, not even in tiles; scale "
        f"it down, {precision}close other programs that use the GPU, or remove other models from the workflow"
    )


def check_interrupts_between_layers(networks: nn.Module) -> None:
    """Check for the cancel button before every convolution and layer norm: a tile keeps a CPU busy for seconds."""
    for layer in networks.modules():
        if isinstance(layer, (nn.Conv2d, nn.LayerNorm)):
            layer.register_forward_pre_hook(lambda module, inputs: raise_if_interrupted())
