"""AutoDIR Compare: before and after with a movable bar, and their distance to a reference."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...autodir_core.reporting.before_after import before_after_slider
from ...autodir_core.reporting.comparison import compare
from ..comfy import devices, folders
from ..shared import io


class AutoDIRCompare:
    DISPLAY_NAME = "AutoDIR Compare"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Shows pictures before and after with a movable bar, and measures how near they are to a reference, or to each "
        "other without one."
    )
    SEARCH_ALIASES = ["before after slider", "PSNR", "SSIM", "image quality metrics", "image compare"]
    RETURN_TYPES = ("IMAGE", "FLOAT", "FLOAT", "STRING")
    RETURN_NAMES = ("comparison", "psnr", "ssim", "report")
    OUTPUT_TOOLTIPS = (
        "Left of the bar before, right of it after, with captions below; one per picture.",
        "Peak signal to noise ratio of after in dB, at most 100, the mean over the batch.",
        "Structural similarity of after, at most 1, the mean over the batch. Pictures of under 11 pixels a side are "
        "extended by reflection for it.",
        "The values of every picture, and their mean for a batch.",
    )
    FUNCTION = "compare"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "before": (
                    "IMAGE",
                    {"tooltip": "The degraded pictures, scaled to after where that is larger; alpha is ignored."},
                ),
                "after": ("IMAGE", {"tooltip": "The restored pictures; alpha is ignored."}),
                "position": (
                    "FLOAT",
                    {
                        "default": 0.5,
                        "min": 0.0,
                        "max": 1.0,
                        "step": 0.01,
                        "tooltip": "Position of the bar: the fraction of the width that shows before.",
                    },
                ),
            },
            "optional": {
                "reference": (
                    "IMAGE",
                    {
                        "tooltip": "The clean pictures, of the size of after: PSNR and SSIM are measured against them. "
                        "Without them after is measured against before.",
                        "old_names": ["truth"],
                    },
                ),
            },
        }

    def compare(
        self, before: Tensor, after: Tensor, position: float, reference: Tensor | None = None
    ) -> dict[str, Any]:
        clean = None if reference is None else io.split_alpha(reference)[0]
        compared = compare(io.split_alpha(before)[0], io.split_alpha(after)[0], clean)
        image = before_after_slider(compared.before, compared.after, compared.details(), position=position)
        mean, report = compared.mean, compared.report()
        shown = {"images": folders.save_previews(image), "text": [report]}
        return {"ui": shown, "result": (image.to(devices.intermediate_device()), mean.psnr, mean.ssim, report)}
