"""AutoDIR Color Match."""

from __future__ import annotations

from torch import Tensor

from ...autodir_core.choices import COLOR_METHODS
from ...autodir_core.imaging.color import match_color
from ...autodir_core.imaging.filters import resize
from ..comfy import devices
from ..shared import io


class AutoDIRColorMatch:
    DISPLAY_NAME = "AutoDIR Color Match"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Gives pictures the colours of a reference, such as those of the input where the diffusion has shifted them. "
        "The AutoDIR paper does without it."
    )
    SEARCH_ALIASES = ["colour correction", "color transfer", "AdaIN", "wavelet color fix"]
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = (
        "The pictures in the colours of the reference; values may lie slightly outside 0..1, saving cuts them off.",
    )
    FUNCTION = "match"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "The pictures to recolour, of any size; alpha is kept."}),
                "reference": (
                    "IMAGE",
                    {"tooltip": "Where the colours come from: one picture for all or one for each; alpha is ignored."},
                ),
                "method": (
                    list(COLOR_METHODS),
                    {
                        "default": "adain",
                        "tooltip": "adain matches mean and spread of each colour channel, for a reference of any "
                        "content. wavelet takes all slow changes over the picture from the reference, which must show "
                        "the same content; one of another size is scaled.",
                    },
                ),
            }
        }

    def match(self, image: Tensor, reference: Tensor, method: str) -> tuple[Tensor]:
        colours, alpha = io.split_alpha(image)
        model, _ = io.split_alpha(reference)
        if method == "wavelet":
            model = resize(model, *colours.shape[1:3])
        matched = match_color(colours, model.to(colours), method)
        return (io.with_alpha(matched, alpha).to(devices.intermediate_device()),)
