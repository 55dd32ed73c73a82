"""AutoDIR Correct."""

from __future__ import annotations

import torch
from torch import Tensor

from ..autodir_core.errors import InputError
from ..autodir_core.imaging.mask import apply_mask
from ..autodir_core.settings import SCM_WEIGHT_RANGE
from ..autodir_core.stages.correction import lerp_correction
from .comfy import devices
from .comfy.memory import HostedModel
from .comfy.progress import NodeProgress
from .shared import io

ZERO_RESIDUAL = 0.5
"""The gray that a residual of 0 is shown as."""


class AutoDIRCorrect:
    DISPLAY_NAME = "AutoDIR Correct"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "The structure correction: compares the degraded with the generated picture and brings back the content that "
        "the diffusion changed."
    )
    SEARCH_ALIASES = ["structural correction", "SCM", "NAFNet", "detail recovery"]
    RETURN_TYPES = ("IMAGE", "IMAGE")
    RETURN_NAMES = ("image", "residual")
    OUTPUT_TOOLTIPS = (
        "The corrected pictures; values may be outside 0..1, by 0.22 in an example; saving and previews clip them, "
        "other nodes get them as they are. Alpha is the degraded's.",
        "What the correction adds at weight 1, in the units of the picture, around the gray 0.5 that means no change.",
    )
    FUNCTION = "correct"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": io.MODEL,
                "degraded": ("IMAGE", {"tooltip": "The pictures that AutoDIR Sample was given; alpha is kept."}),
                "generated": ("IMAGE", {"tooltip": "The pictures from AutoDIR Decode, of the same size."}),
                "weight": (
                    "FLOAT",
                    {
                        "default": 1.0,
                        "min": SCM_WEIGHT_RANGE[0],
                        "max": SCM_WEIGHT_RANGE[1],
                        "step": 0.05,
                        "tooltip": "Weight of the correction: 0 keeps the generated picture, 1 is the paper's. The "
                        "official code uses 0 after low resolution.",
                    },
                ),
            },
            "optional": {"mask": io.MASK},
        }

    def correct(
        self,
        model: HostedModel,
        degraded: Tensor,
        generated: Tensor,
        weight: float | list[float],
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        original, alpha = io.split_alpha(degraded)
        drawn, _ = io.split_alpha(generated)
        if original.shape != drawn.shape:
            raise InputError(
                f"degraded and generated must have one size and batch, got {list(original.shape)} and "
                f"{list(drawn.shape)}; connect the picture that went into the diffusion, and the one that "
                "AutoDIR Decode or VAE Decode made of its result; crop both to one size where they differ"
            )
        pairs = zip(original.split(1), drawn.split(1), strict=True)
        with model.loaded_for(*original.shape[1:3]) as autodir:
            bar = NodeProgress(autodir, len(original))
            corrected = torch.cat([autodir.correct(*pair, on_tile=bar.on_tile(i)) for i, pair in enumerate(pairs)])
        image = apply_mask(original, lerp_correction(drawn, corrected, weight), mask)
        return (
            io.with_alpha(image, alpha).to(devices.intermediate_device()),
            (corrected - drawn + ZERO_RESIDUAL).to(devices.intermediate_device()),
        )
