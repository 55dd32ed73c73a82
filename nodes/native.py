"""AutoDIR To ComfyUI Model."""

from __future__ import annotations

from typing import Any

from .comfy.memory import HostedModel
from .shared import io


class AutoDIRToComfyUIModel:
    DISPLAY_NAME = "AutoDIR To ComfyUI Model"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Gives the diffusion to ComfyUI's own nodes: every native sampler and scheduler, LoRA, model patches, partial "
        "loading. InstructPixToPixConditioning adds the degraded picture; the scheduler normal gives the noise levels "
        "of AutoDIR Sample. The structure correction stays in AutoDIR Correct."
    )
    SEARCH_ALIASES = ["native model", "LoRA", "KSampler", "instruct pix2pix", "convert model"]
    RETURN_TYPES = ("MODEL", "CLIP", "VAE")
    RETURN_NAMES = ("model", "clip", "vae")
    OUTPUT_TOOLTIPS = (
        "The denoiser as an InstructPix2Pix model, with the official timesteps and start noise, for KSampler, "
        "DualCFGGuider and LoRA loaders. Patches of it do not reach the AutoDIR nodes.",
        "The text encoder: CLIP Text Encode gives what AutoDIR Prompt gives, up to 75 tokens and without brackets.",
        "The autoencoder. ComfyUI crops pictures to multiples of 8 pixels where AutoDIR Sample extends them.",
    )
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": io.MODEL}}

    def convert(self, model: HostedModel) -> tuple[Any, Any, Any]:
        # imported here, because it takes in all of ComfyUI's model classes
        from .comfy.models import native_models

        return native_models(model.model)
