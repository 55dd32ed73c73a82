"""AutoDIR Sample and AutoDIR Decode: from the degraded picture to the generated one, through the latent space."""

from __future__ import annotations

import torch
from torch import Tensor

from ..autodir_core.errors import InputError
from ..autodir_core.model import AutoDIR
from ..autodir_core.outputs import StageProgress
from ..autodir_core.pipeline import sample_each
from ..autodir_core.settings import SamplerSettings
from .comfy import devices, progress
from .comfy.memory import HostedModel
from .shared import io

SIZE = "autodir_size"
"""Key in a LATENT: (height, width) of its picture before padding."""


class AutoDIRSample:
    DISPLAY_NAME = "AutoDIR Sample"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Draws a restored latent with the diffusion, guided by the degraded picture and the text condition. Any "
        "picture size works; AutoDIR Decode gives back the same size."
    )
    SEARCH_ALIASES = ["restore", "diffusion restoration", "instruct pix2pix sampler"]
    RETURN_TYPES = ("LATENT",)
    OUTPUT_TOOLTIPS = (
        "The restored latent, not scaled, as ComfyUI's own VAE nodes use it; it remembers the size of the picture.",
    )
    FUNCTION = "sample"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": io.MODEL,
                "image": ("IMAGE", {"tooltip": "The degraded pictures, of any size; alpha is ignored."}),
                "conditioning": (
                    "CONDITIONING",
                    {"tooltip": "What to restore, from AutoDIR Blend or AutoDIR Prompt: one for all pictures or each."},
                ),
                "steps": io.STEPS,
                "sampler": io.SAMPLER,
                "text_guidance": io.TEXT_GUIDANCE,
                "image_guidance": io.IMAGE_GUIDANCE,
                "seed": io.SEED,
            },
            "optional": {"sampler_settings": io.SAMPLER_SETTINGS},
        }

    def sample(
        self,
        model: HostedModel,
        image: Tensor,
        conditioning: io.Conditioning,
        steps: int,
        sampler: str,
        text_guidance: float,
        image_guidance: float,
        seed: int,
        sampler_settings: SamplerSettings | None = None,
    ) -> tuple[io.Latent]:
        colors, _ = io.split_alpha(image)
        texts = io.condition_of(conditioning, len(colors), model.model.config.unet.context)
        settings = sampler_settings or SamplerSettings(steps, sampler, text_guidance, image_guidance)
        with model.loaded_for(*colors.shape[1:3]) as autodir:
            bar = progress.NodeProgress(autodir, len(colors))

            def on_stage(at: StageProgress) -> None:
                bar.move(at.picture, at.done / at.total if at.stage == "sample" else 0)

            scaled = sample_each(autodir, colors, texts, settings, seed=seed, on_step=bar.on_step, on_stage=on_stage)
            latent = (scaled / autodir.metadata.latent_scale).to(devices.intermediate_device())
        return ({"samples": latent, SIZE: (colors.shape[1], colors.shape[2])},)


class AutoDIRDecode:
    DISPLAY_NAME = "AutoDIR Decode"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Decodes a latent to the generated picture, at the size of the picture that AutoDIR Sample was given. Fine "
        "structure may differ from the input; AutoDIR Correct brings it back."
    )
    SEARCH_ALIASES = ["VAE decode", "latent to image"]
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = (
        "The generated pictures; values may be outside 0..1, by 0.22 in an example; saving and previews clip them, "
        "other nodes get them as they are.",
    )
    FUNCTION = "decode"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": io.MODEL,
                "latent": (
                    "LATENT",
                    {
                        "tooltip": "From AutoDIR Sample of the same model. One that was resized or loaded from a file "
                        "is decoded whole, with the padding to multiples of 64 pixels (officially)."
                    },
                ),
            }
        }

    def decode(self, model: HostedModel, latent: io.Latent) -> tuple[Tensor]:
        samples = latent["samples"]
        channels, factor = model.model.config.vae.latent_channels, model.model.factor
        if samples.ndim != 4 or samples.shape[1] != channels:
            raise InputError(
                f"latents of this model are [B, {channels}, h, w], got {list(samples.shape)}; connect AutoDIR Sample "
                "of the same model"
            )
        height, width = (side * factor for side in samples.shape[-2:])
        with model.loaded_for(height, width) as autodir:
            bar, size = progress.NodeProgress(autodir, len(samples)), crop_size(latent, autodir)
            # decoded as they are: scaling them back and forth would round them
            images = [
                autodir.decode(row, size, scale=1.0, on_tile=bar.on_tile(i)) for i, row in enumerate(samples.split(1))
            ]
        return (torch.cat(images).to(devices.intermediate_device()),)


def crop_size(latent: io.Latent, autodir: AutoDIR) -> tuple[int, int]:
    """Return (height, width) to crop to: the remembered size, unless the latent was resized since."""
    whole = tuple(side * autodir.factor for side in latent["samples"].shape[-2:])
    size = latent.get(SIZE, whole)
    return size if autodir.latent_shape(*size)[1:] == latent["samples"].shape[-2:] else whole
