"""The only file that talks to ComfyUI's services: model folders, devices, memory, progress, previews, cancelling."""
# pyright: reportMissingImports=false

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.model_management
import comfy.utils
import folder_paths
import latent_preview
import torch
from comfy.cli_args import LatentPreviewMethod, args
from comfy.model_patcher import ModelPatcher
from PIL import Image
from torch import Tensor

from nodes import PreviewImage  # pyright: ignore[reportAttributeAccessIssue] - ComfyUI's, not this folder

from ...autodir_core.errors import AutoDIRError
from ...autodir_core.imaging.files import atomic_path
from ...autodir_core.imaging.tiling import TILE
from ...autodir_core.model import AutoDIR

FOLDER = "autodir"
"""Name of the model folder, in `models/` and in a user's extra_model_paths.yaml."""

EXTENSIONS = {".safetensors", ".sft", ".ckpt", ".pt", ".pth"}

EXAMPLES = ("sample.png", "dark.png", "clean.png")
"""The pictures of the shared workflows, among the core's assets."""

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


def offer_examples() -> None:
    """Put the pictures of the shared workflows into the input folder, as "autodir_..."; what has such a name stays."""
    assets, folder = Path(__file__).parents[2] / "autodir_core/assets", Path(folder_paths.get_input_directory())
    try:
        for name in EXAMPLES:
            put_if_missing(assets / name, folder / f"autodir_{name}")
    except (AutoDIRError, OSError) as error:
        logging.warning("AutoDIR: the example pictures are not offered in Load Image: %s", error)


def put_if_missing(source: Path, target: Path) -> None:
    """Copy a file to where there is none of that name."""
    if not target.exists():
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


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


def show_images(images: Tensor) -> list[dict[str, str]]:
    """Write pictures [B, H, W, 3] where the page finds them: the "images" of a node's "ui"."""
    return PreviewImage().save_images(images)["ui"]["images"]


def output_path(prefix: str, suffix: str) -> Path:
    """A new file in ComfyUI's output folder, such as "report_00001_.txt" for "report" and ".txt"."""
    folder, name, first, *_ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    numbered = (Path(folder, f"{name}_{number:05}_{suffix}") for number in itertools.count(first))
    # ComfyUI counts from 1 again for a prefix that ends in a slash
    return next(path for path in numbered if not path.exists())


def list_index() -> int:
    """The place in a list that the host runs the current node for, item by item; 0 where there is none."""
    from comfy_execution.utils import get_executing_context

    context = get_executing_context()
    return (context and context.list_index) or 0


def nothing() -> Any:
    """An output that keeps every node that hangs on it from running, without an error."""
    from comfy_execution.graph_utils import ExecutionBlocker

    return ExecutionBlocker(None)


def is_output_node(class_type: str) -> bool:
    """Whether nodes of a class are run for what they show or save."""
    from nodes import NODE_CLASS_MAPPINGS  # pyright: ignore[reportAttributeAccessIssue] - ComfyUI's, not this folder

    return getattr(NODE_CLASS_MAPPINGS[class_type], "OUTPUT_NODE", False) is True


def new_prefix() -> str:
    """What the ids of the nodes begin with that the current node expands to."""
    from comfy_execution.graph_utils import GraphBuilder

    return GraphBuilder.alloc_prefix()


def blame_drawn_nodes(running: Any, expanding: str) -> None:
    """Have errors in nodes that a class expanded to named on the nodes they show on, not on the one that expanded.

    The host asks the running graph for the node to name; only nodes below the class get another answer.
    """

    def named(node_id: str) -> str:
        at = node_id
        while (parent := running.get_parent_node_id(at)) is not None:
            if running.get_node(parent)["class_type"] == expanding:
                return running.get_display_node_id(at)
            at = parent
        return at

    running.get_real_node_id = named


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
        stop_between_stages(model.networks)

    def ready(self, height: int = 0, width: int = 0) -> AutoDIR:
        """The model with all networks on the load device, and room there for one picture of this size in pixels."""
        comfy.model_management.load_models_gpu(
            [self.patcher], memory_required=self.room(height, width), force_full_load=True
        )
        self.load_the_rest()
        return self.model

    def room(self, height: int, width: int) -> int:
        """Bytes that the decoder needs at its peak for one picture of this size in pixels."""
        values = PEAK_VALUES * self.model.config.vae.channels[0] * height * width
        return values * self.model.networks.vae.dtype.itemsize

    @contextmanager
    def at_work(self, height: int, width: int) -> Iterator[AutoDIR]:
        """The model as `ready` gives it, to restore pictures of this size in pixels, one at a time.

        What does not fit into the memory is done in squares; AutoDIRError that names what to change where they are too
        large as well.
        """
        try:
            autodir = self.ready(height, width)
            yield autodir.tiled(TILE) if self.would_overflow(height, width) else autodir
        except comfy.model_management.OOM_EXCEPTION as error:
            comfy.model_management.unload_all_models()
            comfy.model_management.soft_empty_cache()
            raise AutoDIRError(too_large(height, width, self.model.dtype)) from error

    def would_overflow(self, height: int, width: int) -> bool:
        """Whether a picture may be too large for a CPU's memory: there no error comes, the system ends the process."""
        device = self.patcher.load_device
        if device.type != "cpu" or self.room(height, width) <= comfy.model_management.get_free_memory(device):
            return False
        logging.info("AutoDIR: %d x %d pixels may not fit into the memory: squares of %d", width, height, TILE)
        return True

    def load_the_rest(self) -> None:
        """Move what ComfyUI left behind: `--novram` loads no plain torch layer, yet takes them as loaded."""
        networks, device = self.model.networks, self.patcher.load_device
        if any(parameter.device.type != device.type for parameter in networks.parameters()):
            networks.to(device)
            # ComfyUI's own account of what lies on the GPU
            networks.model_loaded_weight_memory = self.patcher.model_size()


def too_large(height: int, width: int, dtype: torch.dtype) -> str:
    """What to do about a picture that has no room, in squares either."""
    precision = "choose float16 in AutoDIR Load Model, " if dtype == torch.float32 else ""
    return (
        f"the memory of {load_device()} does not hold a picture of {width} x {height} pixels, worked on in squares "
        f"where that is possible; scale it down, {precision}close other programs that use the GPU, or remove other "
        "models from the workflow"
    )


def stop_between_stages(networks: torch.nn.Module) -> None:
    """Have each network look whether the user pressed cancel: whenever it starts, and between its large parts."""
    for network in networks.children():
        for stage in network.children():
            stage.register_forward_pre_hook(lambda module, inputs: stop_if_cancelled())


Preview = Callable[[int, Tensor], Image.Image | None]


class StepWatcher:
    """Called after each step: moves the progress bar, shows what is forming, and stops when the user cancels."""

    def __init__(self, model: AutoDIR, total: int) -> None:
        self.bar, self.total = comfy.utils.ProgressBar(total), total
        self.preview = previewer(model)

    def __call__(self, done: int, estimate: Tensor) -> None:
        """`done` steps of the total lie behind; `estimate` of the result is [B, C, h, w], scaled."""
        stop_if_cancelled()
        self.bar.update_absolute(done, preview=sendable(self.preview(done, estimate)))

    def finish(self, image: Tensor) -> None:
        """Let the previews end with [H, W, 3]: the page would hide what a node shows behind the last of them."""
        if args.preview_method != LatentPreviewMethod.NoPreviews:
            self.bar.update_absolute(self.total, preview=sendable(as_picture(image)))


def previewer(model: AutoDIR) -> Preview:
    """What turns an estimate into a small picture, following ComfyUI's `--preview-method`."""
    if args.preview_method == LatentPreviewMethod.NoPreviews:
        return lambda done, estimate: None
    if (model.config.vae.latent_channels, model.factor) == SD15_LATENT:
        host = latent_preview.get_previewer(model.device, comfy.latent_formats.SD15())
        return lambda done, estimate: host.decode_latent_to_preview(estimate)
    return lambda done, estimate: decoded_small(model, estimate) if done % PREVIEW_EVERY == 0 else None


def decoded_small(model: AutoDIR, estimate: Tensor) -> Image.Image:
    """The first estimate of a batch, averaged over squares and decoded."""
    height, width = (max(side // PREVIEW_SHRINK, 1) for side in estimate.shape[-2:])
    return as_picture(model.decode(torch.nn.functional.adaptive_avg_pool2d(estimate[:1], (height, width)))[0])


def as_picture(image: Tensor) -> Image.Image:
    """[H, W, 3] in 0..1, values outside allowed."""
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
