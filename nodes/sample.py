"""AutoDIR Sample and AutoDIR Decode: from the degraded picture to the generated one, through the latent space."""

from __future__ import annotations

import torch
from torch import Tensor

from ..autodir_core.errors import InputError
from ..autodir_core.imaging.layout import crop
from ..autodir_core.model import AutoDIR
from ..autodir_core.settings import SamplerSettings
from .comfy import devices, progress
from .comfy.memory import HostedModel
from .shared import io

SIZE = "autodir_size"
"""Key in a LATENT: (height, width) of the picture it was made from, before it was padded."""


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
            }
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
    ) -> tuple[io.Latent]:
        colours, _ = io.split_alpha(image)
        texts = io.condition_of(conditioning, len(colours), model.model.config.unet.context)
        settings = SamplerSettings(steps, sampler, text_guidance, image_guidance)
        with model.loaded_for(*colours.shape[1:3]) as autodir:
            latent = sample_one_by_one(autodir, colours, texts, settings=settings, seed=seed)
        return ({"samples": latent.to(devices.intermediate_device()), SIZE: (colours.shape[1], colours.shape[2])},)


def sample_one_by_one(
    autodir: AutoDIR, images: Tensor, texts: Tensor, *, settings: SamplerSettings, seed: int
) -> Tensor:
    """Latents [B, C, h, w], not scaled, of pictures [B, H, W, 3]: each drawn by itself, as the loop does it.

    A picture so needs no more memory in a batch than alone, and gives the same to the last bit.
    """
    watch = progress.StepProgress(autodir, settings.steps * len(images))
    latents = [
        autodir.sample(
            autodir.encode(images[i : i + 1]),
            texts[i : i + 1],
            settings,
            seed=seed + i,
            on_step=lambda step, estimate, before=i * settings.steps: watch(before + step + 1, estimate),
        )
        for i in range(len(images))
    ]
    return torch.cat(latents) / autodir.metadata.latent_scale


class AutoDIRDecode:
    DISPLAY_NAME = "AutoDIR Decode"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Decodes a latent to the generated picture, at the size of the picture that AutoDIR Sample was given. Fine "
        "structure may differ from the input; AutoDIR Correct brings it back."
    )
    SEARCH_ALIASES = ["VAE decode", "latent to image"]
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The generated pictures; values may lie slightly outside 0..1, saving cuts them off.",)
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
            # decoded as they are: scaling them back and forth would round them
            images = torch.cat([autodir.decode(row, scale=1.0) for row in samples.split(1)])
        return (crop(images, *size_of(latent, autodir)).to(devices.intermediate_device()),)


def size_of(latent: io.Latent, autodir: AutoDIR) -> tuple[int, int]:
    """(height, width) to crop to: the remembered size, unless the latent was resized since."""
    whole = tuple(side * autodir.factor for side in latent["samples"].shape[-2:])
    size = latent.get(SIZE, whole)
    return size if autodir.latent_shape(*size)[1:] == latent["samples"].shape[-2:] else whole
