"""Progress bar, previews while sampling, and the cancel button."""
# pyright: reportMissingImports=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import comfy.latent_formats
import comfy.model_management
import comfy.utils
import latent_preview
import torch
from comfy.cli_args import LatentPreviewMethod, args
from comfy_execution.utils import get_executing_context
from PIL import Image
from server import PromptServer
from torch import Tensor

from ...autodir_core.imaging.layout import to_pil
from ...autodir_core.model import AutoDIR
from ...autodir_core.outputs import Callbacks, OnRound, OnStage, OnTile, Progress, Round, StageProgress
from ...autodir_core.reporting.summary import winner_text

SD15_LATENT = (4, 8)
"""Channels and pixels per value of the latents that ComfyUI has its own previews for."""

PREVIEW_EVERY, PREVIEW_SIDE = 5, 256
"""Other latents are shown every few steps, average-pooled to so many pixels that decoding them costs little; the last
step too, because the page leaves its preview on the finished node."""

Previewer = Callable[[Progress, Tensor], Image.Image | None]


def raise_if_interrupted() -> None:
    """Raise ComfyUI's InterruptProcessingException after the user pressed cancel."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def tell(text: str) -> None:
    """Show a text on the node that runs; nothing outside of a run."""
    context = get_executing_context()
    if context is not None:
        PromptServer.instance.send_progress_text(text, context.node_id)


RESOLUTION = 1000
"""Parts of the progress bar."""


class NodeProgress:
    """Moves the progress bar of a node, shows previews of its pictures, and stops it after a cancel."""

    def __init__(self, model: AutoDIR, pictures: int = 1, *, decides: bool = False) -> None:
        """Let the bar be full when so many pictures are done, after a decision for all of them that is number 0."""
        self.bar, self.pictures, self.done = comfy.utils.ProgressBar(RESOLUTION), pictures + decides, 0
        self.decides = decides
        self.preview, self.found = latent_previewer(model), ""

    def move(self, picture: int, fraction: float) -> None:
        """Report that a fraction 0..1 of a picture, counted from 0, is finished."""
        raise_if_interrupted()
        self.done = round(RESOLUTION * (picture + fraction) / self.pictures)
        self.bar.update_absolute(self.done)

    def of_picture(self, picture: int, max_rounds: int) -> Callable[[Sequence[str]], Callbacks]:
        """Return what watches the restoration of one picture, given the labels that its loop looks for."""
        return lambda labels: Callbacks(self.on_step, self.on_round(labels), self.on_stage(picture, max_rounds))

    def on_stage(self, picture: int, max_rounds: int) -> OnStage:
        """Return what reports the stages of a picture's rounds: each round is half of what is left of its part."""

        def report(at: StageProgress) -> None:
            last = at.round + 1 == max_rounds
            left = 0.5**at.round
            self.move(picture, 1 - left + left * at.fraction * (1.0 if last else 0.5))
            tell(f"{self.place(picture)}round {at.round + 1}, {at.stage} {at.done}/{at.total}{self.found}")

        return report

    def place(self, picture: int) -> str:
        """Return the words for where a part of the bar is; none for the only one."""
        if self.decides:
            return f"picture {picture} of {self.pictures - 1}, " if picture else "decision for all, "
        return f"picture {picture + 1} of {self.pictures}, " if self.pictures > 1 else ""

    def on_round(self, labels: Sequence[str]) -> OnRound:
        """Return what remembers the last finished round, for the text beside the bar."""

        def report(picture: int, done: Round) -> None:
            self.found = f"; before: {winner_text(done, labels, 0)}"

        return report

    def on_tile(self, picture: int) -> OnTile:
        """Return what reports the finished tiles of a picture and all of them."""
        return lambda done, total: self.move(picture, done / total)

    def on_step(self, at: Progress, estimate: Tensor) -> None:
        """Show the estimate [1, C, h, w], scaled, of a result."""
        raise_if_interrupted()
        preview = jpeg_preview(self.preview(at, estimate))
        if preview:
            self.bar.update_absolute(self.done, preview=preview)

    def show_result(self, image: Tensor) -> None:
        """Show [H, W, 3] as the last preview, which would otherwise hide the images that the node shows."""
        if args.preview_method != LatentPreviewMethod.NoPreviews:
            self.bar.update_absolute(RESOLUTION, preview=jpeg_preview(to_pil(image)))


def latent_previewer(model: AutoDIR) -> Previewer:
    """Return a function from progress and estimate to a small picture, following ComfyUI's `--preview-method`."""
    if args.preview_method == LatentPreviewMethod.NoPreviews:
        return lambda at, estimate: None
    if (model.config.vae.latent_channels, model.factor) == SD15_LATENT:
        native = latent_preview.get_previewer(model.device, comfy.latent_formats.SD15())
        return lambda at, estimate: native.decode_latent_to_preview(estimate)
    return lambda at, estimate: (
        decode_thumbnail(model, estimate) if at.step % PREVIEW_EVERY == 0 or at.step == at.steps else None
    )


def decode_thumbnail(model: AutoDIR, estimate: Tensor) -> Image.Image:
    """Decode the first estimate of a batch after average pooling."""
    shrink = math.ceil(max(estimate.shape[-2:]) * model.factor / PREVIEW_SIDE)
    height, width = (max(side // shrink, 1) for side in estimate.shape[-2:])
    return to_pil(model.decode(torch.nn.functional.adaptive_avg_pool2d(estimate[:1], (height, width)))[0])


def jpeg_preview(picture: Image.Image | None) -> tuple[str, Image.Image, int] | None:
    """Return a preview as the progress bar takes it.

    A picture that cannot be scaled or saved as JPEG ends the whole ComfyUI process: it must be RGB and keep at least
    one pixel of its short side.
    """
    limit = latent_preview.MAX_PREVIEW_RESOLUTION
    if picture is None or min(picture.size) * limit <= max(picture.size):
        return None
    return "JPEG", picture.convert("RGB"), limit
