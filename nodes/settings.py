"""AutoDIR Sampler Settings and AutoDIR Loop Settings: what several nodes share, or one node would show too much of."""

from __future__ import annotations

from typing import Any

from ..autodir_core import choices
from ..autodir_core.labels import parse_labels
from ..autodir_core.settings import LoopSettings, SamplerSettings
from .shared import io


class AutoDIRSamplerSettings:
    DISPLAY_NAME = "AutoDIR Sampler Settings"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "How the diffusion runs, for AutoDIR Restore and AutoDIR Sample at once. Has the negative prompt too, which "
        "those nodes have not."
    )
    SEARCH_ALIASES = ["steps", "negative prompt", "cfg", "guidance"]
    RETURN_TYPES = (io.SAMPLER_SETTINGS_TYPE,)
    RETURN_NAMES = ("sampler_settings",)
    OUTPUT_TOOLTIPS = ("For AutoDIR Restore and AutoDIR Sample, in the place of their own inputs.",)
    FUNCTION = "settings"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "steps": io.STEPS,
                "sampler": io.SAMPLER,
                "text_guidance": io.TEXT_GUIDANCE,
                "image_guidance": io.IMAGE_GUIDANCE,
                "negative_prompt": (
                    "STRING",
                    {
                        "default": "",
                        "multiline": True,
                        "tooltip": "What the result is led away from, such as heavy grain. It counts only with a text "
                        "guidance or an image guidance other than 1.",
                    },
                ),
            }
        }

    def settings(
        self, steps: int, sampler: str, text_guidance: float, image_guidance: float, negative_prompt: str
    ) -> tuple[SamplerSettings]:
        return (SamplerSettings(steps, sampler, text_guidance, image_guidance, negative_prompt),)


class AutoDIRLoopSettings:
    DISPLAY_NAME = "AutoDIR Loop Settings"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "How the rounds of AutoDIR Restore go: what they look for, in which order, where, and what makes a round good "
        "enough. The defaults guard the picture; a round is accepted only where it became better."
    )
    SEARCH_ALIASES = ["quality gate", "local restoration", "candidates", "order of degradations"]
    RETURN_TYPES = (io.LOOP_SETTINGS_TYPE,)
    RETURN_NAMES = ("loop_settings",)
    OUTPUT_TOOLTIPS = ("For AutoDIR Restore, in the place of its labels, crops, min_confidence, gate and strength.",)
    FUNCTION = "settings"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "labels": io.basic(io.LABELS),
                "crops": io.CROPS,
                "min_confidence": io.basic(io.MIN_CONFIDENCE),
                "gate": (
                    "BOOLEAN",
                    {
                        "default": True,
                        "tooltip": "Accept a round only where the damage went and the content stayed, else a half or a "
                        "quarter of the change, or the picture as it was.",
                    },
                ),
                "strength": io.STRENGTH,
                "order": (
                    list(choices.ORDERS),
                    {
                        "default": io.PAPER_LOOP.order,
                        "tooltip": f"Which of several probable degradations comes first. {choices.ORDERS.describe()}.",
                    },
                ),
                "local": (
                    "BOOLEAN",
                    {
                        "default": io.PAPER_LOOP.local,
                        "tooltip": "Keep each round to where its degradation is, and all else bit for bit.",
                    },
                ),
                "candidates": (
                    "INT",
                    {
                        "default": io.PAPER_LOOP.candidates,
                        "min": 1,
                        "max": 16,
                        "tooltip": "Try each round so many times with other noise; the gate takes the best. A round "
                        "takes as many times as long. More than 1 needs the gate.",
                    },
                ),
            }
        }

    def settings(self, labels: str, **widgets: Any) -> tuple[LoopSettings]:
        """Return the settings; the other widgets have the names of their fields."""
        return (LoopSettings(labels=parse_labels(labels) or None, **widgets),)
