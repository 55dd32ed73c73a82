"""AutoDIR Assess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..autodir_core.labels import parse_labels
from ..autodir_core.loop_policy import mean_assessment
from ..autodir_core.outputs import Assessment
from ..autodir_core.reporting.probability_chart import probability_bar_chart
from ..autodir_core.reporting.summary import assessment_lines, batch_text
from .comfy import devices, folders
from .comfy.language import report_language
from .comfy.memory import HostedModel
from .shared import io


@dataclass(frozen=True)
class AssessmentOutput:
    """The value of an AUTODIR_ASSESSMENT.

    Attributes:
        assessment: labels and probabilities.
        prompt_states: [L, 77, D], the hidden states of the label prompts, for AutoDIR Blend.
    """

    assessment: Assessment
    prompt_states: Tensor

    def _comfy_cache_tensors(self) -> list[Any]:
        """Return what ComfyUI's cache counts as the memory of this value."""
        return [vars(self.assessment), self.prompt_states]


class AutoDIRAssess:
    DISPLAY_NAME = "AutoDIR Assess"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Asks the model which degradation a picture shows. It looks at the center crop at native resolution (224 "
        "pixels officially), so nothing at the borders counts; grid crops look at more of it."
    )
    SEARCH_ALIASES = ["image quality assessment", "BIQA", "detect noise blur rain haze", "CLIP IQA"]
    RETURN_TYPES = ("AUTODIR_ASSESSMENT", "STRING", "STRING")
    RETURN_NAMES = ("assessment", "top_label", "report")
    OUTPUT_TOOLTIPS = (
        "Labels and probabilities, for AutoDIR Blend.",
        'The most probable label, "no" for a clean picture; one per picture, separated by commas, for a batch.',
        "One line per label with its probability in percent, the most probable first.",
    )
    FUNCTION = "assess"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": io.MODEL,
                "image": ("IMAGE", {"tooltip": "The pictures to assess; alpha is ignored."}),
                "labels": (
                    "STRING",
                    {
                        "default": "",
                        "multiline": True,
                        "tooltip": "Labels to ask about, separated by commas or lines. Empty asks about all of the "
                        "model, officially: noise, blur, rain, underexposure, haze, low resolution, raindrop, no. "
                        "Leaving one out distributes its probability over the others.",
                    },
                ),
            },
            "optional": {
                "crops": io.CROPS,
                "one_decision": io.explain(io.ONE_DECISION, "The answer is the mean over its pictures."),
            },
        }

    def assess(
        self,
        model: HostedModel,
        image: Tensor,
        labels: str,
        crops: str = io.CROPS[1]["default"],
        one_decision: bool = False,
    ) -> dict[str, Any]:
        colors, _ = io.split_alpha(image)
        autodir = model.load(*colors.shape[1:3])
        assessment = autodir.assess(colors, parse_labels(labels) or None, crops)
        if one_decision:
            assessment = mean_assessment([assessment])
        states = autodir.prompts(assessment.labels).states.to(devices.intermediate_device())
        spoken = report_language()
        report = batch_text(lambda i: assessment_lines(assessment, i, spoken), len(assessment.probabilities), spoken)
        shown = {"images": folders.save_previews(probability_bar_chart(assessment)), "text": [report]}
        return {"ui": shown, "result": (AssessmentOutput(assessment, states), ", ".join(assessment.top), report)}
