"""AutoDIR Color Match, Degrade and Save Report: the tools around a restoration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...autodir_core import __version__
from ...autodir_core.degrade import DEGRADATIONS, degrade
from ...autodir_core.degrade.apply import SMALLEST_SIDE
from ...autodir_core.diffusion.noise import picture_seeds
from ...autodir_core.errors import InputError
from ...autodir_core.imaging.color import METHODS, match_color
from ...autodir_core.imaging.files import atomic_path
from ...autodir_core.imaging.layout import extended, scaled
from ...autodir_core.reporting.summary import assessment_lines, by_label
from ...autodir_core.settings import Assessment
from ..assess import Assessed
from ..comfy import services as host
from ..shared import io as sockets


class AutoDIRColorMatch:
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
                    list(METHODS),
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
        colours, alpha = sockets.split_alpha(image)
        model, _ = sockets.split_alpha(reference)
        if method == "wavelet":
            model = scaled(model, *colours.shape[1:3])
        matched = match_color(colours, model.to(colours), method)
        return (sockets.with_alpha(matched, alpha).to(host.result_device()),)


class AutoDIRDegrade:
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Damages clean pictures on purpose, to try a restoration against a known truth. Chain several of these nodes "
        "for several degradations, best as a picture is formed: haze, rain, raindrop, blur, underexposure, noise, low "
        "resolution."
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
                        "default": DEGRADATIONS[0],
                        "tooltip": "What to do to the pictures; the names are the labels that AutoDIR Assess knows.",
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
                "seed": sockets.SEED,
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
            },
        }

    def degrade(
        self, image: Tensor, degradation: str, severity: float, seed: int, depth: Tensor | None = None
    ) -> tuple[Tensor]:
        colours, alpha = sockets.split_alpha(image)
        batch, height, width, _ = colours.shape
        # only what haze uses is checked: a depth that stays connected must not stop the other degradations
        depths = [None] * batch if depth is None or degradation != "haze" else depths_of(depth, batch, height, width)
        seeds = picture_seeds(seed, batch)
        done = [
            degrade_one(one, degradation, severity=severity, seed=seeds[i], depth=depths[i])
            for i, one in enumerate(colours.split(1))
        ]
        return (sockets.with_alpha(torch.cat(done), alpha).to(host.result_device()),)


def degrade_one(image: Tensor, label: str, *, severity: float, seed: int, depth: Tensor | None) -> Tensor:
    """One picture [1, H, W, 3] of any size with one degradation; depth is [1, H, W] or None."""
    host.stop_if_cancelled()
    distance = None if depth is None else extended(depth, SMALLEST_SIDE)
    done = degrade(extended(image, SMALLEST_SIDE), label, severity=severity, seed=seed, depth=distance)
    return done[:, : image.shape[1], : image.shape[2]]


def depths_of(depth: Tensor, batch: int, height: int, width: int) -> Sequence[Tensor]:
    """A depth [1, H, W] for each picture, from a MASK [b, h, w] or [h, w] or an IMAGE [b, h, w, C] of any size."""
    grey = depth if depth.ndim < 4 else sockets.split_alpha(depth)[0].mean(dim=-1)
    grey = grey[None] if grey.ndim == 2 else grey
    if grey.ndim != 3 or len(grey) not in (1, batch):
        raise InputError(f"the depth must be one picture or mask, or {batch}, got the shape {list(depth.shape)}")
    # scaling rounds, and a depth just above 1 would be refused
    fitting = scaled(grey[..., None], height, width)[..., 0].clamp(grey.min(), grey.max())
    return fitting.expand(batch, -1, -1).split(1)


class AutoDIRSaveReport:
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Writes a report, an assessment or both into a new file in ComfyUI's output folder; nothing is overwritten."
    )
    SEARCH_ALIASES = ["save text", "write json", "export assessment"]
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("path",)
    OUTPUT_TOOLTIPS = ("The whole path of the file that was written.",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "filename_prefix": (
                    "STRING",
                    {
                        "default": "autodir/report",
                        "tooltip": "Sub-folder and name inside the output folder; a number and the ending are added. "
                        "%year%, %month% and %day% stand for the date.",
                    },
                ),
                "format": (
                    ["txt", "json"],
                    {
                        "default": "txt",
                        "tooltip": "txt is for reading: the report, or the assessment where no report is connected. "
                        "json is for programs: both, with the probabilities as numbers in 0..1.",
                    },
                ),
            },
            "optional": {
                "report": (
                    "STRING",
                    {
                        "forceInput": True,
                        "tooltip": "The report of AutoDIR Restore, Assess or Compare, or any other text.",
                    },
                ),
                "assessment": ("AUTODIR_ASSESSMENT", {"tooltip": "Labels and probabilities, from AutoDIR Assess."}),
            },
        }

    def save(
        self, filename_prefix: str, format: str, report: str | None = None, assessment: Assessed | None = None
    ) -> dict[str, Any]:
        if report is None and assessment is None:
            raise InputError("there is nothing to save; connect a report, an assessment or both")
        found = None if assessment is None else assessment.assessment
        text = as_text(report, found) if format == "txt" else as_json(report, found)
        path = host.output_path(filename_prefix, f".{format}")
        with atomic_path(path) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
        return {"ui": {"text": [str(path)]}, "result": (str(path),)}


def as_text(report: str | None, assessment: Assessment | None) -> str:
    """The report, and where there is none the lines of the assessment."""
    if report is None and assessment is not None:
        return sockets.report_text(lambda i: assessment_lines(assessment, i), len(assessment.probabilities))
    return report or ""


def as_json(report: str | None, assessment: Assessment | None) -> str:
    """The lines of the report, and the labels and probabilities of each picture, with what there is of both."""
    record: dict[str, Any] = {"autodir": __version__}
    if report is not None:
        record["report"] = report.splitlines()
    if assessment is not None:
        record["labels"] = list(assessment.labels)
        record["pictures"] = [
            {"label": label} | by_label("probabilities", assessment.probabilities, assessment.labels, i, ())
            for i, label in enumerate(assessment.top)
        ]
    return json.dumps(record, indent=2, ensure_ascii=False)


NODES = {
    "AutoDIRColorMatch": AutoDIRColorMatch,
    "AutoDIRDegrade": AutoDIRDegrade,
    "AutoDIRSaveReport": AutoDIRSaveReport,
}
