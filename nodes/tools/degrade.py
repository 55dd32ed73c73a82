"""AutoDIR Degrade."""

from __future__ import annotations

from itertools import chain

from torch import Tensor

from ...autodir_core.choices import ANY_KIND, DEGRADATIONS, STANDARD, describe_kinds, list_kinds
from ...autodir_core.degrade import degrade
from ...autodir_core.diffusion.noise import picture_seeds
from ..comfy import devices, progress
from ..shared import io


class AutoDIRDegrade:
    DISPLAY_NAME = "AutoDIR Degrade"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Damages clean pictures on purpose, to try a restoration against a known reference. Chain several of these "
        f"nodes for several degradations, best as a picture is formed: {', '.join(DEGRADATIONS)}."
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
                        "default": "noise",
                        "tooltip": f"What to do to the pictures. {DEGRADATIONS.describe()}.",
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
                "kind": (
                    list(dict.fromkeys([STANDARD, ANY_KIND, *chain.from_iterable(map(list_kinds, DEGRADATIONS))])),
                    {
                        "default": STANDARD,
                        "tooltip": f"The same damage made in another way. {STANDARD}: as version 0.1.0 did; "
                        f"{ANY_KIND}: each picture's seed draws one; the others belong to one or two degradations. "
                        f"{describe_kinds()}.",
                    },
                ),
            },
        }

    def degrade(
        self,
        image: Tensor,
        degradation: str,
        severity: float,
        seed: int,
        depth: Tensor | None = None,
        kind: str = STANDARD,
    ) -> tuple[Tensor]:
        colors, alpha = io.split_alpha(image)
        degraded = degrade(
            colors,
            degradation,
            severity=severity,
            seed=picture_seeds(seed, len(colors)),
            kind=kind,
            depth=depth,
            on_picture=lambda _: progress.raise_if_interrupted(),
        )
        return (io.with_alpha(degraded, alpha).to(devices.intermediate_device()),)
