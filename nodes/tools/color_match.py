"""AutoDIR Color Match."""

from __future__ import annotations

from torch import Tensor

from ...autodir_core.choices import COLOR_METHODS
from ...autodir_core.imaging.color import match_color
from ..comfy import devices
from ..shared import io


class AutoDIRColorMatch:
    DISPLAY_NAME = "AutoDIR Color Match"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Gives pictures the colors of a reference, such as those of the input where the diffusion has shifted them. "
        "The AutoDIR paper does without it."
    )
    SEARCH_ALIASES = ["color correction", "color transfer", "AdaIN", "wavelet color fix"]
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = (
        "The pictures in the colors of the reference; values may be slightly outside 0..1, saving clips them.",
    )
    FUNCTION = "match"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "The pictures to recolor, of any size; alpha is kept."}),
                "reference": (
                    "IMAGE",
                    {"tooltip": "Where the colors come from: one picture for all or one for each; alpha is ignored."},
                ),
                "method": (
                    list(COLOR_METHODS),
                    {
                        "default": COLOR_METHODS.default,
                        "tooltip": f"{COLOR_METHODS.describe()}. The reference may have any size.",
                    },
                ),
            }
        }

    def match(self, image: Tensor, reference: Tensor, method: str) -> tuple[Tensor]:
        colors, alpha = io.split_alpha(image)
        reference_colors, _ = io.split_alpha(reference)
        matched = match_color(colors, reference_colors.to(colors), method)
        return (io.with_alpha(matched, alpha).to(devices.intermediate_device()),)
