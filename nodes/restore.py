"""AutoDIR Restore: the whole loop in one node."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..autodir_core.imaging.mask import apply_mask
from ..autodir_core.outputs import Restoration
from ..autodir_core.pipeline import restore
from ..autodir_core.reporting.montage import BACKGROUND, strip
from ..autodir_core.reporting.summary import round_lines
from ..autodir_core.settings import LoopSettings, SamplerSettings
from .comfy import devices, folders, progress
from .comfy.memory import HostedModel
from .shared import io

MOST_SHOWN = 4
"""Strips of a batch that the node itself shows; more would be too small to read there."""


class AutoDIRRestore:
    DISPLAY_NAME = "AutoDIR Restore"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Restores pictures of unknown degradation: assesses, restores the strongest degradation, and again until the "
        "picture is clean. The defaults are the paper's way. The node shows its rounds."
    )
    SEARCH_ALIASES = ["image restoration", "denoise", "deblur", "dehaze", "derain", "low light", "super resolution"]
    RETURN_TYPES = ("IMAGE", "STRING", "IMAGE")
    RETURN_NAMES = ("image", "report", "strip")
    OUTPUT_TOOLTIPS = (
        "The restored pictures, in the size of the input; one that is found clean at once, or unsure, comes back "
        "untouched. Values may lie slightly outside 0..1, saving cuts them off.",
        "What was found in each round, with probabilities in percent, and why the loop stopped.",
        "Input, rounds and result side by side with captions, at most 512 pixels high; one per picture.",
    )
    FUNCTION = "restore"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": io.MODEL,
                "image": ("IMAGE", {"tooltip": "The pictures to restore, of any size; alpha is kept."}),
                "steps": io.STEPS,
                "seed": io.SEED,
                "max_rounds": (
                    "INT",
                    {
                        "default": 7,
                        "min": 1,
                        "max": 16,
                        "tooltip": "Rounds at most, one degradation each; the loop stops earlier when the picture is "
                        "clean. The paper's limit is 7.",
                    },
                ),
                "text_guidance": io.TEXT_GUIDANCE,
                "image_guidance": io.IMAGE_GUIDANCE,
                "prompt": (
                    "STRING",
                    {
                        "default": "",
                        "multiline": True,
                        "tooltip": "Empty: the model assesses the picture itself, round by round. With your own words "
                        "there is one round that follows them, without assessment.",
                    },
                ),
                "scm_weight": (
                    "FLOAT",
                    {
                        "default": -1.0,
                        "min": -1.0,
                        "max": 2.0,
                        "step": 0.05,
                        "tooltip": "Share of the structure correction. -1, like any value below 0, takes the file's "
                        "weights: officially 1, and 0 after low resolution. 0 switches it off, 1 applies it in full "
                        "after every round.",
                    },
                ),
            },
            "optional": {
                "mask": io.MASK,
                "labels": io.LABELS,
                "sampler": io.advanced(io.SAMPLER),
                "view": io.advanced(io.VIEW),
                "threshold": io.THRESHOLD,
            },
        }

    def restore(
        self,
        model: HostedModel,
        image: Tensor,
        steps: int,
        seed: int,
        max_rounds: int,
        text_guidance: float,
        image_guidance: float,
        prompt: str,
        scm_weight: float,
        mask: Tensor | None = None,
        labels: str = "",
        sampler: str = io.SAMPLER[1]["default"],
        view: str = io.VIEW[1]["default"],
        threshold: float = io.THRESHOLD[1]["default"],
    ) -> dict[str, Any]:
        colours, alpha = io.split_alpha(image)
        loop = LoopSettings(
            max_rounds=max_rounds,
            labels=io.label_list(labels) or None,
            prompt=prompt.strip() or None,
            scm_weight=None if scm_weight < 0 else scm_weight,
            crops=view,
            min_confidence=threshold,
        )
        settings = SamplerSettings(steps, sampler, text_guidance, image_guidance)
        with model.loaded_for(*colours.shape[1:3]) as autodir:
            watch = progress.StepProgress(autodir, steps)
            done = restore(autodir, colours, loop, settings, seed=seed, on_step=lambda at, guess: watch(at.step, guess))
        report = io.report_text(lambda i: round_lines(done, i), len(colours))
        result = io.with_alpha(apply_mask(colours, done.image, mask), alpha).to(devices.intermediate_device())
        drawn = strips(colours, done)
        watch.show_result(drawn[0])
        shown = {"images": folders.save_previews(drawn[:MOST_SHOWN]), "text": [report]}
        return {"ui": shown, "result": (result, report, drawn.to(devices.intermediate_device()))}


def strips(images: Tensor, restoration: Restoration) -> Tensor:
    """The strip of every picture, [B, h, w, 3], extended to the longest."""
    rows = [strip(images, restoration, i) for i in range(len(images))]
    whole = (torch.tensor(BACKGROUND) / 255).repeat(len(rows), rows[0].shape[1], max(row.shape[2] for row in rows), 1)
    for canvas, row in zip(whole, rows, strict=True):
        canvas[:, : row.shape[2]] = row[0]
    return whole
