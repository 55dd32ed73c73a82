"""AutoDIR Blend, AutoDIR Prompt and AutoDIR Mix: the text condition of the diffusion."""

from __future__ import annotations

import torch

from ..autodir_core.errors import InputError
from ..autodir_core.labels import CLEAN, check_labels, parse_labels
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
                        "tooltip": "Raises each probability to 1 / temperature: below 1 favors the strongest label, "
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
                "exclude_labels": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "Labels to leave out of the blend, separated by commas. Empty leaves out none, as "
                        "the paper does.",
                        "old_names": ["excluded"],
                    },
                ),
            }
        }

    def blend(
        self, assessment: AssessmentOutput, temperature: float, top_k: int, exclude_labels: str
    ) -> tuple[io.Conditioning]:
        found = assessment.assessment
        # leaving out "no" is right for any list of labels, also for one that lacks it
        names = [name for name in parse_labels(exclude_labels) if name.casefold() != CLEAN or CLEAN in found.labels]
        excluded = check_labels(names, found.labels) if names else ()
        mask = torch.tensor([label in excluded for label in found.labels])
        weights = sharpen_probabilities(found.probabilities, temperature=temperature, top_k=top_k, excluded=mask)
        unchanged = weights is found.probabilities
        embedding = found.embedding if unchanged else blend(weights, assessment.prompt_states)
        return ([[embedding.to(devices.intermediate_device()), {}]],)


class AutoDIRPrompt:
    DISPLAY_NAME = "AutoDIR Prompt"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "A custom prompt as the text condition of the diffusion, in place of the assessment. The model was trained on "
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
        "Interpolates between two text conditions, such as the assessment's blend and a custom prompt. Other entries "
        "of the first condition are kept."
    )
    SEARCH_ALIASES = ["mix conditioning", "interpolate prompts", "conditioning average"]
    RETURN_TYPES = ("CONDITIONING",)
    OUTPUT_TOOLTIPS = ("(1 - weight) times the first condition plus weight times the second, for AutoDIR Sample.",)
    FUNCTION = "mix"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "conditioning_a": ("CONDITIONING", {"tooltip": "The first condition: all of the mix at weight 0."}),
                "conditioning_b": (
                    "CONDITIONING",
                    {"tooltip": "The second condition, from the same model: all of the mix at weight 1."},
                ),
                "weight": (
                    "FLOAT",
                    {
                        "default": 0.5,
                        "min": 0.0,
                        "max": 1.0,
                        "step": 0.01,
                        "tooltip": "Weight of the second condition: 0 is the first alone, 1 the second alone. The "
                        "paper mixes prompts only by their probabilities, in AutoDIR Blend.",
                        "old_names": ["share"],
                    },
                ),
            }
        }

    def mix(
        self, conditioning_a: io.Conditioning, conditioning_b: io.Conditioning, weight: float
    ) -> tuple[io.Conditioning]:
        first, extra = io.only_entry(conditioning_a)
        second, _ = io.only_entry(conditioning_b)
        if first.shape[1:] != second.shape[1:] or not (len(first) == len(second) or 1 in (len(first), len(second))):
            raise InputError(
                "the two conditions need one number of tokens, one width, and one batch or a batch of 1, got "
                f"{list(first.shape)} and {list(second.shape)}; make both with the same model"
            )
        return ([[mix_embeddings(first, second.to(first), weight), dict(extra)]],)
