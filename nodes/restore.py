"""AutoDIR Restore: the whole loop in one node."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..autodir_core.imaging.mask import apply_mask
from ..autodir_core.pipeline import restore
from ..autodir_core.reporting.montage import BACKGROUND, strip
from ..autodir_core.reporting.summary import round_lines
from ..autodir_core.settings import LoopSettings, Restoration, SamplerSettings
from .comfy import services as host
from .shared import io as sockets

MOST_SHOWN = 4
"""Strips of a batch that the node itself shows; more would be too small to read there."""


class AutoDIRRestore:
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
                "model": sockets.MODEL,
                "image": ("IMAGE", {"tooltip": "The pictures to restore, of any size; alpha is kept."}),
                "steps": sockets.STEPS,
                "seed": sockets.SEED,
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
                "text_guidance": sockets.TEXT_GUIDANCE,
                "image_guidance": sockets.IMAGE_GUIDANCE,
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
                "mask": sockets.MASK,
                "labels": sockets.LABELS,
                "sampler": sockets.advanced(sockets.SAMPLER),
                "view": sockets.advanced(sockets.VIEW),
                "threshold": sockets.THRESHOLD,
            },
        }

    def restore(
        self,
        model: host.HostedModel,
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
        sampler: str = sockets.SAMPLER[1]["default"],
        view: str = sockets.VIEW[1]["default"],
        threshold: float = sockets.THRESHOLD[1]["default"],
    ) -> dict[str, Any]:
        colours, alpha = sockets.split_alpha(image)
        loop = LoopSettings(
            max_rounds=max_rounds,
            labels=sockets.label_list(labels) or None,
            prompt=prompt.strip() or None,
            scm_weight=None if scm_weight < 0 else scm_weight,
            view=view,
            threshold=threshold,
        )
        settings = SamplerSettings(steps, sampler, text_guidance, image_guidance)
        with model.at_work(*colours.shape[1:3]) as autodir:
            watch = host.StepWatcher(autodir, steps)
            done = restore(autodir, colours, loop, settings, seed=seed, on_step=lambda at, guess: watch(at.step, guess))
        report = sockets.report_text(lambda i: round_lines(done, i), len(colours))
        result = sockets.with_alpha(apply_mask(colours, done.image, mask), alpha).to(host.result_device())
        drawn = strips(colours, done)
        watch.finish(drawn[0])
        shown = {"images": host.show_images(drawn[:MOST_SHOWN]), "text": [report]}
        return {"ui": shown, "result": (result, report, drawn.to(host.result_device()))}


def strips(images: Tensor, restoration: Restoration) -> Tensor:
    """The strip of every picture, [B, h, w, 3], extended to the longest."""
    rows = [strip(images, restoration, i) for i in range(len(images))]
    whole = (torch.tensor(BACKGROUND) / 255).repeat(len(rows), rows[0].shape[1], max(row.shape[2] for row in rows), 1)
    for canvas, row in zip(whole, rows, strict=True):
        canvas[:, : row.shape[2]] = row[0]
    return whole


NODES = {"AutoDIRRestore": AutoDIRRestore}
