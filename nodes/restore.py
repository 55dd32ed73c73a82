"""AutoDIR Restore: the whole loop in one node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..autodir_core import settings as core_settings
from ..autodir_core.diffusion.noise import MAX_SEED
from ..autodir_core.imaging.mask import apply_mask, fit_map, mask_restoration
from ..autodir_core.labels import parse_labels
from ..autodir_core.loop_policy import merge_restorations
from ..autodir_core.model import AutoDIR
from ..autodir_core.outputs import Callbacks, Restoration, untouched
from ..autodir_core.pipeline import restore
from ..autodir_core.reporting.montage import MAX_HEIGHT, batch_montage
from ..autodir_core.reporting.summary import (
    batch_text,
    decision_line,
    mask_line,
    preset_line,
    round_lines,
    stop_line,
)
from ..autodir_core.settings import SCM_WEIGHT_RANGE, LoopSettings, SamplerSettings
from .comfy import devices, folders, progress
from .comfy.language import report_language
from .comfy.memory import HostedModel
from .shared import io
from .shared.one_decision import SharedRestoration

MAX_SHOWN = 4
"""Montages of a batch that the node itself shows; more would be too small to read there."""


Plan = tuple[LoopSettings, SamplerSettings, int]
"""How the loop and the sampler run, and the seed."""

REPLACED = {
    "steps": io.STEPS,
    "sampler": io.SAMPLER,
    "text_guidance": io.TEXT_GUIDANCE,
    "image_guidance": io.IMAGE_GUIDANCE,
}
"""The widgets that a preset takes the place of."""

CONNECTED = ("labels", "crops", "min_confidence", "gate", "strength", "order", "local", "candidates")
"""The settings that AutoDIR Loop Settings has."""


@dataclass(frozen=True)
class RestoreWidgets:
    """The widgets of the node that say how it restores, with the values of workflows that do not have them yet."""

    steps: int
    max_rounds: int
    text_guidance: float
    image_guidance: float
    prompt: str
    scm_weight: float
    labels: str = ""
    sampler: str = io.SAMPLER[1]["default"]
    crops: str = io.CROPS[1]["default"]
    min_confidence: float = io.MIN_CONFIDENCE[1]["default"]
    preset: str = io.CUSTOM
    gate: str = io.GATE_FROM_PRESET
    strength: float = io.STRENGTH[1]["default"]
    sampler_settings: SamplerSettings | None = None
    loop_settings: LoopSettings | None = None

    def settings(self) -> tuple[LoopSettings, SamplerSettings]:
        """Return the settings of the loop and of the sampler: connected ones, else the preset's, else the widgets'."""
        if self.preset == io.CUSTOM:
            given = SamplerSettings(self.steps, self.sampler, self.text_guidance, self.image_guidance)
            base, sampler = LoopSettings(), given
        else:
            base, sampler = core_settings.preset(self.preset)
        loop = replace(
            base,
            max_rounds=self.max_rounds,
            labels=parse_labels(self.labels) or None,
            prompt=self.prompt.strip() or None,
            scm_weight=None if self.scm_weight < 0 else self.scm_weight,
            crops=self.crops,
            min_confidence=self.min_confidence,
            round_height=MAX_HEIGHT,
            gate=base.gate if self.gate == io.GATE_FROM_PRESET else self.gate == "on",
            strength=self.strength,
        )
        return self.with_connected(loop), self.sampler_settings or sampler

    def preset_lines(self, language: str) -> list[str]:
        """Return a line for each widget that was changed, and that the preset takes the place of all the same."""
        if self.preset == io.CUSTOM or self.sampler_settings:
            return []
        used = core_settings.preset(self.preset)[1]
        return [
            preset_line(self.preset, name, getattr(used, name), getattr(self, name), language)
            for name, (_, options) in REPLACED.items()
            if getattr(self, name) not in (options["default"], getattr(used, name))
        ]

    def with_connected(self, loop: LoopSettings) -> LoopSettings:
        """Return the settings with those of a connected AutoDIR Loop Settings."""
        if self.loop_settings is None:
            return loop
        return replace(loop, **{name: getattr(self.loop_settings, name) for name in CONNECTED})


class AutoDIRRestore:
    DISPLAY_NAME = "AutoDIR Restore"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Restores pictures of unknown degradation: assesses, restores the strongest degradation (denoise, deblur, "
        "derain, dehaze, brighten and more), and again until the picture is clean. The defaults are the paper's way, "
        "with 12 steps instead of its 100. The node shows its rounds."
    )
    SEARCH_ALIASES = ["image restoration", "denoise", "deblur", "dehaze", "derain", "low light", "super resolution"]
    RETURN_TYPES = ("IMAGE", "STRING", "IMAGE")
    RETURN_NAMES = ("image", "report", "montage")
    OUTPUT_TOOLTIPS = (
        "The restored pictures, in the size of the input; one that is found clean at once, or with low confidence, "
        "comes back untouched. Values may be outside 0..1, by 0.22 in an example; saving and previews clip them, other "
        "nodes get them as they are.",
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
                "max_rounds": io.MAX_ROUNDS,
                "text_guidance": io.TEXT_GUIDANCE,
                "image_guidance": io.IMAGE_GUIDANCE,
                "prompt": (
                    "STRING",
                    {
                        "default": "",
                        "multiline": True,
                        "tooltip": "Empty: the model assesses the picture itself, round by round. With a custom prompt "
                        "there is one round that follows it, without assessment.",
                    },
                ),
                "scm_weight": (
                    "FLOAT",
                    {
                        "default": -1.0,
                        "min": -1.0,
                        "max": SCM_WEIGHT_RANGE[1],
                        "step": 0.05,
                        "tooltip": "Weight of the structure correction. -1, like any value below 0, takes the file's "
                        "weights: officially 1, and 0 after low resolution. 0 switches it off, 1 applies it in full "
                        "after every round.",
                    },
                ),
            },
            "optional": {
                "mask": io.MASK,
                "labels": io.LABELS,
                "sampler": io.advanced(io.SAMPLER),
                "crops": io.advanced(io.CROPS),
                "min_confidence": io.MIN_CONFIDENCE,
                "preset": io.PRESET,
                "gate": io.GATE,
                "strength": io.STRENGTH,
                "sampler_settings": io.SAMPLER_SETTINGS,
                "loop_settings": io.LOOP_SETTINGS,
                "one_decision": io.explain(
                    io.ONE_DECISION, "The loop restores one that stands for all; its rounds, with its noise, follow."
                ),
            },
        }

    def restore(
        self,
        model: HostedModel,
        image: Tensor,
        steps: int,
        seed: int,
        mask: Tensor | None = None,
        one_decision: bool = False,
        **widgets: Any,
    ) -> dict[str, Any]:
        """Restore the pictures; the other widgets are the fields of `RestoreWidgets`."""
        colors, alpha = io.split_alpha(image)
        chosen = RestoreWidgets(steps, **widgets)
        (loop, sampler), notes = chosen.settings(), chosen.preset_lines(report_language())
        inside = None if mask is None else fit_map(mask, colors, name="mask").clamp(0, 1)
        if one_decision and len(changing_pictures(colors, inside)) > 1:
            return self.restore_alike(model, image, inside, (loop, sampler, seed), notes)
        with model.loaded_for(*colors.shape[1:3]) as autodir:
            bar = progress.NodeProgress(autodir, len(colors))
            parts = [
                restore_one(autodir, picture, loop, sampler, (seed + i) & MAX_SEED, bar.of_picture(i, loop.max_rounds))
                if inside is None or inside[i].any()
                else untouched(picture)
                for i, picture in enumerate(colors.split(1))
            ]
        done = mask_restoration(colors, merge_restorations(parts), inside)
        spoken = report_language()
        masks = [None] * len(colors) if inside is None else list(inside)
        report = batch_text(
            lambda i: [*round_lines(done, i, spoken), *mask_line(masks[i], spoken)], len(colors), spoken
        )
        report = "\n".join([*notes, report])
        progress.tell(stop_line(done, len(colors) - 1, spoken))
        return show_results(bar, io.with_alpha(done.image, alpha), report, batch_montage(colors, done))

    def restore_alike(
        self, model: HostedModel, image: Tensor, inside: Tensor | None, plan: Plan, notes: Sequence[str]
    ) -> dict[str, Any]:
        """Restore the pictures that change as the one that stands for all of them was; `notes` begin the report."""
        colors, alpha = io.split_alpha(image)
        changing = changing_pictures(colors, inside)
        with model.loaded_for(*colors.shape[1:3]) as autodir:
            bar = progress.NodeProgress(autodir, len(changing), decides=True)
            run = SharedRestoration(autodir, colors, changing, *plan, bar)
            number, decision = run.decide()
            images = run.repeat(decision)
        example = slice(number, number + 1)
        own = None if inside is None else inside[example]
        done = mask_restoration(colors[example], decision.outcome, own)
        spoken = report_language()
        lines = [*notes, decision_line(len(changing), number, spoken), *round_lines(done, 0, spoken)]
        report = "\n".join([*lines, *mask_line(None if own is None else own[0], spoken)])
        progress.tell(stop_line(done, 0, spoken))
        result = io.with_alpha(apply_mask(colors, images, inside), alpha)
        return show_results(bar, result, report, batch_montage(colors[example], done))


def changing_pictures(colors: Tensor, inside: Tensor | None) -> list[int]:
    """Return the pictures whose mask is not empty."""
    return [i for i in range(len(colors)) if inside is None or inside[i].any()]


def show_results(bar: progress.NodeProgress, image: Tensor, report: str, montage: Tensor) -> dict[str, Any]:
    """Return what the node shows and gives, with the first montage as the last preview."""
    bar.show_result(montage[0])
    shown = {"images": folders.save_previews(montage[:MAX_SHOWN]), "text": [report]}
    place = devices.intermediate_device()
    return {"ui": shown, "result": (image.to(place), report, montage.to(place))}


def restore_one(
    autodir: AutoDIR,
    picture: Tensor,
    loop: LoopSettings,
    sampler: SamplerSettings,
    seed: int,
    watch: Callable[[Sequence[str]], Callbacks],
) -> Restoration:
    """Restore one picture [1, H, W, 3]; `watch` returns who watches, given the labels that the loop looks for."""
    callbacks = watch(autodir.labels if loop.labels is None else loop.labels)
    return restore(
        *(autodir, picture, loop, sampler),
        seed=seed,
        on_step=callbacks.on_step,
        on_round=callbacks.on_round,
        on_stage=callbacks.on_stage,
    )
