"""AutoDIR Degrade."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...autodir_core.degrade import DEGRADATIONS, degrade
from ...autodir_core.degrade.apply import SMALLEST_SIDE
from ...autodir_core.diffusion.noise import picture_seeds
from ...autodir_core.errors import InputError
from ...autodir_core.imaging.filters import resize
from ...autodir_core.imaging.layout import pad_to_size
from ..comfy import devices, progress
from ..shared import io


class AutoDIRDegrade:
    DISPLAY_NAME = "AutoDIR Degrade"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Damages clean pictures on purpose, to try a restoration against a known truth. Chain several of these nodes "
        "for several degradations, best as a picture is formed: haze, rain, raindrop, blur, underexposure, noise, low "
        "resolution."
    )
    SEARCH_ALIASES = ["add noise blur rain haze", "synthetic degradation", "corrupt image"]
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The degraded pictures, of the same size, in 0..1.",)
    FUNCTION = "degrade"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "The clean pictures, of any size; alpha is kept."}),
                "degradation": (
                    list(DEGRADATIONS),
                    {
                        "default": DEGRADATIONS[0],
                        "tooltip": "What to do to the pictures; the names are the labels that AutoDIR Assess knows.",
                    },
                ),
                "severity": (
                    "FLOAT",
                    {
                        "default": 0.5,
                        "min": 0.0,
                        "max": 1.0,
                        "step": 0.01,
                        "tooltip": "From 0, barely visible, over 0.5, medium, to 1, severe; each picture draws its own "
                        "strength near it.",
                    },
                ),
                "seed": io.SEED,
            },
            "optional": {
                "depth": (
                    "MASK,IMAGE",
                    {
                        "tooltip": "Distance for haze, from black (near) to white (far), for all pictures or each; it "
                        "is scaled to them. Most depth estimators give white for near: invert theirs. Without it a "
                        "plausible depth is drawn. Other degradations ignore it."
                    },
                ),
            },
        }

    def degrade(
        self, image: Tensor, degradation: str, severity: float, seed: int, depth: Tensor | None = None
    ) -> tuple[Tensor]:
        colours, alpha = io.split_alpha(image)
        batch, height, width, _ = colours.shape
        # only what haze uses is checked: a depth that stays connected must not stop the other degradations
        depths = [None] * batch if depth is None or degradation != "haze" else depths_of(depth, batch, height, width)
        seeds = picture_seeds(seed, batch)
        done = [
            degrade_one(one, degradation, severity=severity, seed=seeds[i], depth=depths[i])
            for i, one in enumerate(colours.split(1))
        ]
        return (io.with_alpha(torch.cat(done), alpha).to(devices.intermediate_device()),)


def degrade_one(image: Tensor, label: str, *, severity: float, seed: int, depth: Tensor | None) -> Tensor:
    """One picture [1, H, W, 3] of any size with one degradation; depth is [1, H, W] or None."""
    progress.raise_if_interrupted()
    distance = None if depth is None else pad_to_size(depth, SMALLEST_SIDE)
    done = degrade(pad_to_size(image, SMALLEST_SIDE), label, severity=severity, seed=seed, depth=distance)
    return done[:, : image.shape[1], : image.shape[2]]


def depths_of(depth: Tensor, batch: int, height: int, width: int) -> Sequence[Tensor]:
    """A depth [1, H, W] for each picture, from a MASK [b, h, w] or [h, w] or an IMAGE [b, h, w, C] of any size."""
    grey = depth if depth.ndim < 4 else io.split_alpha(depth)[0].mean(dim=-1)
    grey = grey[None] if grey.ndim == 2 else grey
    if grey.ndim != 3 or len(grey) not in (1, batch):
        raise InputError(f"the depth must be one picture or mask, or {batch}, got the shape {list(depth.shape)}")
    # scaling rounds, and a depth just above 1 would be refused
    fitting = resize(grey[..., None], height, width)[..., 0].clamp(grey.min(), grey.max())
    return fitting.expand(batch, -1, -1).split(1)
