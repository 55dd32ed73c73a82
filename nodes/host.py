"""The only file that talks to ComfyUI: model folders, devices, memory, progress, previews, cancelling."""
# pyright: reportMissingImports=false

from __future__ import annotations

import os
from collections.abc import Callable

import comfy.latent_formats
import comfy.model_management
import comfy.utils
import folder_paths
import latent_preview
import torch
from comfy.cli_args import LatentPreviewMethod, args
from comfy.model_patcher import ModelPatcher
from PIL import Image
from server import PromptServer
from torch import Tensor

from ..autodir_core.model import AutoDIR

FOLDER = "autodir"
"""Name of the model folder, in `models/` and in a user's extra_model_paths.yaml."""

EXTENSIONS = {".safetensors", ".sft", ".ckpt", ".pt", ".pth"}

SD15_LATENT = (4, 8)
"""Channels and pixels per value of the latents that ComfyUI has its own previews for."""

PREVIEW_EVERY, PREVIEW_SHRINK = 5, 4
"""Other latents are shown every few steps, averaged over squares so that decoding them costs little."""

PEAK_VALUES = 17
"""Values per pixel and base channel at the decoder's peak: ComfyUI's own estimate for the SD VAE, 2178 / 128."""


def register_model_folder() -> None:
    """Make `models/autodir` known; folders and extensions that the user configured stay."""
    folder_paths.add_model_folder_path(FOLDER, os.path.join(folder_paths.models_dir, FOLDER))
    folder_paths.folder_names_and_paths[FOLDER][1].update(EXTENSIONS)


def model_files() -> list[str]:
    """Names of the weights files in the model folders."""
    return folder_paths.get_filename_list(FOLDER)


def model_path(name: str) -> str:
    """Where a file of `model_files` lies; FileNotFoundError when it is gone."""
    return folder_paths.get_full_path_or_raise(FOLDER, name)


def load_device() -> torch.device:
    """Where networks run."""
    return comfy.model_management.get_torch_device()


def result_device() -> torch.device:
    """Where ComfyUI wants pictures, latents and conditions between nodes."""
    return comfy.model_management.intermediate_device()


def natural_dtype() -> torch.dtype:
    """Precision of the diffusion on this device, as ComfyUI and its start options choose it."""
    if comfy.model_management.should_use_fp16(load_device()):
        return torch.float16
    return torch.bfloat16 if comfy.model_management.should_use_bf16(load_device()) else torch.float32


def vae_dtype() -> torch.dtype:
    """Precision of the autoencoder, as ComfyUI and its start options choose it."""
    return comfy.model_management.vae_dtype(load_device(), [torch.bfloat16])


def stop_if_cancelled() -> None:
    """Ends the run when the user pressed cancel."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def show_text(text: str, node_id: str | None) -> None:
    """Write under a node on the page."""
    if node_id is not None:
        PromptServer.instance.send_progress_text(text, node_id, PromptServer.instance.client_id)


class HostedModel:
    """A model whose networks ComfyUI moves between memory and GPU: what travels as AUTODIR_MODEL."""

    def __init__(self, model: AutoDIR) -> None:
        self.model = model
        # ComfyUI refers to it weakly: it has to live as long as the networks
        self.patcher = ModelPatcher(
            model.networks,
            load_device=load_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )

    def ready(self, height: int = 0, width: int = 0) -> AutoDIR:
        """The model with all networks on the load device, and room there for one picture of this size in pixels."""
        values = PEAK_VALUES * self.model.sizes.vae.channels[0] * height * width
        comfy.model_management.load_models_gpu(
            [self.patcher],
            memory_required=values * self.model.networks.vae.dtype.itemsize,
            force_full_load=True,
        )
        self.load_the_rest()
        return self.model

    def load_the_rest(self) -> None:
        """Move what ComfyUI left behind: `--novram` loads no plain torch layer, yet takes them as loaded."""
        networks, device = self.model.networks, self.patcher.load_device
        if any(parameter.device.type != device.type for parameter in networks.parameters()):
            networks.to(device)
            # ComfyUI's own account of what lies on the GPU
            networks.model_loaded_weight_memory = self.patcher.model_size()


Preview = Callable[[int, Tensor], Image.Image | None]


class StepWatcher:
    """Called after each step: moves the progress bar, shows what is forming, and stops when the user cancels."""

    def __init__(self, model: AutoDIR, total: int) -> None:
        self.bar = comfy.utils.ProgressBar(total)
        self.preview = previewer(model)

    def __call__(self, done: int, estimate: Tensor) -> None:
        """`done` steps of the total lie behind; `estimate` of the result is [B, C, h, w], scaled."""
        stop_if_cancelled()
        self.bar.update_absolute(done, preview=sendable(self.preview(done, estimate)))


def previewer(model: AutoDIR) -> Preview:
    """What turns an estimate into a small picture, following ComfyUI's `--preview-method`."""
    if args.preview_method == LatentPreviewMethod.NoPreviews:
        return lambda done, estimate: None
    if (model.sizes.vae.latent_channels, model.factor) == SD15_LATENT:
        host = latent_preview.get_previewer(model.device, comfy.latent_formats.SD15())
        return lambda done, estimate: host.decode_latent_to_preview(estimate)
    return lambda done, estimate: decoded_small(model, estimate) if done % PREVIEW_EVERY == 0 else None


def decoded_small(model: AutoDIR, estimate: Tensor) -> Image.Image:
    """The first estimate of a batch, averaged over squares and decoded."""
    height, width = (max(side // PREVIEW_SHRINK, 1) for side in estimate.shape[-2:])
    image = model.decode(torch.nn.functional.adaptive_avg_pool2d(estimate[:1], (height, width)))[0]
    return Image.fromarray((image.clamp(0, 1) * 255).to("cpu", torch.uint8).numpy())


def sendable(picture: Image.Image | None) -> tuple[str, Image.Image, int] | None:
    """A preview as the progress bar takes it.

    Where a picture cannot be scaled or saved as JPEG, the whole ComfyUI process ends: it must be RGB and not so long
    that nothing is left of its short side.
    """
    limit = latent_preview.MAX_PREVIEW_RESOLUTION
    if picture is None or min(picture.size) * limit <= max(picture.size):
        return None
    return "JPEG", picture.convert("RGB"), limit
