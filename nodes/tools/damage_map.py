"""AutoDIR Damage Map: where in a picture each degradation is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...autodir_core.errors import InputError
from ...autodir_core.imaging.mask import fit_map
from ...autodir_core.labels import CLEAN, check_labels, known_name
from ...autodir_core.reporting.heat_map import heat_map
from ...autodir_core.stages.biqa import damage_mask
from ..comfy import devices, folders
from ..comfy.memory import HostedModel
from ..shared import io


class AutoDIRDamageMap:
    DISPLAY_NAME = "AutoDIR Damage Map"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Shows where each degradation is, and gives a mask of one of them: for the mask of AutoDIR Restore, which then "
        "leaves the rest bit for bit, or for any other node."
    )
    SEARCH_ALIASES = ["heat map", "locate damage", "degradation mask", "segment rain raindrop"]
    RETURN_TYPES = ("MASK", "IMAGE", "STRING")
    RETURN_NAMES = ("mask", "heat_map", "label")
    OUTPUT_TOOLTIPS = (
        "1 where the degradation is, 0 where it is improbable; in the size of the picture.",
        "The first picture beside its probable degradations, each drawn over it, from dark (0) to light (1).",
        'The degradation that the mask is of; of a batch one per picture, separated by commas, "no" where there is '
        "none and the mask is empty.",
    )
    FUNCTION = "locate"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": io.MODEL,
                "image": ("IMAGE", {"tooltip": "The pictures to look at; alpha is ignored."}),
                "label": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "The degradation that the mask is of, such as rain. Empty takes the one that is "
                        "most probable anywhere in the picture.",
                    },
                ),
            }
        }

    def locate(self, model: HostedModel, image: Tensor, label: str) -> dict[str, Any]:
        colors, _ = io.split_alpha(image)
        autodir = model.load(*colors.shape[1:3])
        asked = known_name(label.strip(), autodir.labels)
        if asked == CLEAN:
            raise InputError(f'label takes a degradation, got "{CLEAN}"; leave it empty for the most probable one')
        if asked:
            check_labels([asked], autodir.labels)
        maps = [autodir.locate(picture) for picture in colors.split(1)]
        chosen = [asked or strongest_label(found, autodir.labels) for found in maps]
        masks = [mask_of(found, autodir.labels, name) for found, name in zip(maps, chosen, strict=True)]
        mask = fit_map(torch.stack(masks), colors, name="map")
        drawn = heat_map(colors[:1], maps[0], autodir.labels)
        shown = {"images": folders.save_previews(drawn), "text": [", ".join(chosen)]}
        place = devices.intermediate_device()
        return {"ui": shown, "result": (mask.to(place), drawn.to(place), ", ".join(chosen))}


def strongest_label(found: Tensor, labels: tuple[str, ...]) -> str:
    """Return the degradation that is most probable at any place of a map [L, h, w], "no" where that is everywhere."""
    peaks = found.flatten(1).amax(1)
    peaks[labels.index(CLEAN)] = found[labels.index(CLEAN)].amin()
    return labels[int(peaks.argmax())]


def mask_of(found: Tensor, labels: tuple[str, ...], label: str) -> Tensor:
    """Return the mask [h, w] of a label in a map [L, h, w]; an empty one for "no"."""
    return torch.zeros_like(found[0]) if label == CLEAN else damage_mask(found[labels.index(label)])
