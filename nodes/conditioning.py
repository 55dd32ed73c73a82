"""AutoDIR Blend, AutoDIR Prompt and AutoDIR Mix: what the diffusion is asked to do."""

from __future__ import annotations

import torch
from torch import Tensor

from ..autodir_core.errors import InputError
from ..autodir_core.labels import check_labels
from ..autodir_core.stages.conditioning import blend, mix_embeddings, sharpen_probabilities
from .assess import AssessmentOutput
from .comfy import devices
from .comfy.memory import HostedModel
from .shared import io


class AutoDIRBlend:
    DISPLAY_NAME = "AutoDIR Blend"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Turns an assessment into the text condition of the diffusion: the prompts of all labels, blended with their "
        "probabilities. The defaults are the paper's blend; the settings sharpen it or leave labels out."
    )
    SEARCH_ALIASES = ["blend prompts", "assessment to conditioning"]
    RETURN_TYPES = ("CONDITIONING",)
    OUTPUT_TOOLTIPS = ("The blended condition, for AutoDIR Sample; native conditioning nodes take it too.",)
    FUNCTION = "blend"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "assessment": ("AUTODIR_ASSESSMENT", {"tooltip": "The assessment, from AutoDIR Assess."}),
                "temperature": (
                    "FLOAT",
                    {
                        "default": 1.0,
                        "min": 0.01,
                        "max": 10.0,
                        "step": 0.01,
                        "tooltip": "Raises each probability to 1 / temperature: below 1 favours the strongest label, "
                        "above 1 evens out. The paper uses 1.",
                    },
                ),
                "top_k": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 64,
                        "tooltip": "How many of the most probable labels are blended; 0 takes all, as the paper does.",
                    },
                ),
                "excluded": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "Labels to leave out of the blend, separated by commas. Empty leaves out none, as "
                        "the paper does.",
                    },
                ),
            }
        }

    def blend(
        self, assessment: AssessmentOutput, temperature: float, top_k: int, excluded: str
    ) -> tuple[io.Conditioning]:
        condition = blended(assessment, temperature, top_k=top_k, excluded=excluded)
        return ([[condition.to(devices.intermediate_device()), {}]],)


def blended(assessed: AssessmentOutput, temperature: float, *, top_k: int, excluded: str) -> Tensor:
    """The condition [B, 77, D]: the assessment's own where the settings change nothing."""
    assessment = assessed.assessment
    unwanted = io.label_list(excluded)
    left_out = check_labels(unwanted, assessment.labels) if unwanted else ()
    mask = torch.tensor([label in left_out for label in assessment.labels])
    weights = sharpen_probabilities(assessment.probabilities, temperature=temperature, top_k=top_k, excluded=mask)
    if weights is assessment.probabilities:
        return assessment.embedding
    return blend(weights, assessed.prompt_states)


class AutoDIRPrompt:
    DISPLAY_NAME = "AutoDIR Prompt"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Your own words as the text condition of the diffusion, in place of the assessment. The model was trained on "
        '"A photo needs {label} artifact reduction" with its labels; other sentences work as far as CLIP understands '
        "them."
    )
    SEARCH_ALIASES = ["text override", "restoration prompt", "instruction"]
    RETURN_TYPES = ("CONDITIONING",)
    OUTPUT_TOOLTIPS = ("The condition, for AutoDIR Sample; native conditioning nodes take it too.",)
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": io.MODEL,
                "text": (
                    "STRING",
                    {
                        "default": "A photo needs noise artifact reduction",
                        "multiline": True,
                        "tooltip": "What to do, up to 75 tokens; the rest is cut off. Empty text is the null prompt.",
                    },
                ),
            }
        }

    def encode(self, model: HostedModel, text: str) -> tuple[io.Conditioning]:
        autodir = model.load()
        return ([[autodir.embed_text([text]).to(devices.intermediate_device()), {}]],)


class AutoDIRMix:
    DISPLAY_NAME = "AutoDIR Mix"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Mixes two text conditions in proportion, such as the assessment's blend and your own words. What else travels "
        "with the first condition is kept."
    )
    SEARCH_ALIASES = ["mix conditioning", "interpolate prompts", "conditioning average"]
    RETURN_TYPES = ("CONDITIONING",)
    OUTPUT_TOOLTIPS = ("(1 - share) times the first condition plus share times the second, for AutoDIR Sample.",)
    FUNCTION = "mix"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "conditioning_a": ("CONDITIONING", {"tooltip": "The first condition: all of the mix at share 0."}),
                "conditioning_b": (
                    "CONDITIONING",
                    {"tooltip": "The second condition, from the same model: all of the mix at share 1."},
                ),
                "share": (
                    "FLOAT",
                    {
                        "default": 0.5,
                        "min": 0.0,
                        "max": 1.0,
                        "step": 0.01,
                        "tooltip": "Share of the second condition: 0 is the first alone, 1 the second alone. The paper "
                        "mixes prompts only by their probabilities, in AutoDIR Blend.",
                    },
                ),
            }
        }

    def mix(
        self, conditioning_a: io.Conditioning, conditioning_b: io.Conditioning, share: float
    ) -> tuple[io.Conditioning]:
        first, extra = io.only_entry(conditioning_a)
        second, _ = io.only_entry(conditioning_b)
        if first.shape[1:] != second.shape[1:] or not (len(first) == len(second) or 1 in (len(first), len(second))):
            raise InputError(
                "the two conditions need one number of tokens, one width, and one batch or a batch of 1, got "
                f"{list(first.shape)} and {list(second.shape)}; make both with the same model"
            )
        return ([[mix_embeddings(first, second.to(first), share), dict(extra)]],)
