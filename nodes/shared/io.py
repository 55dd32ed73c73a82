"""Inputs that several nodes share, and conversions between ComfyUI's types and the core's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...autodir_core import choices
from ...autodir_core.diffusion.noise import MAX_SEED
from ...autodir_core.errors import InputError
from ...autodir_core.settings import GUIDANCE_RANGE, LoopSettings, SamplerSettings, preset

PAPER_LOOP, PAPER_SAMPLER = LoopSettings(), SamplerSettings()
BEST_SAMPLER = preset(choices.PRESETS.default)[1]

Conditioning = list[list[Any]]
Latent = dict[str, Any]

Widget = tuple[Any, dict[str, Any]]
"""The type and the options of an input, as ComfyUI reads them."""

MODEL = ("AUTODIR_MODEL", {"tooltip": "The model, from AutoDIR Load Model."})

STEPS = (
    "INT",
    {
        "default": BEST_SAMPLER.steps,
        "min": 1,
        "max": 1000,
        "tooltip": "Diffusion steps per round. The default does as well as the paper's 100 with the embedded model, "
        "and on average 4 did too.",
    },
)
SEED = (
    "INT",
    {
        "default": 0,
        "min": 0,
        "max": MAX_SEED,
        "control_after_generate": True,
        "tooltip": "Start of the noise. The same seed gives the same picture; picture i of a batch uses seed + i, so "
        "it gives what it gives alone.",
    },
)
SAMPLER: Widget = (
    list(choices.SAMPLERS),
    {
        "default": PAPER_SAMPLER.sampler,
        "tooltip": "How the noise is removed. euler_ancestral is the paper's; euler and dpmpp_2m add no new noise, and "
        "dpmpp_2m needs the fewest steps.",
    },
)
CUSTOM = "custom"
PRESET: Widget = (
    [CUSTOM, *choices.PRESETS],
    {
        "default": CUSTOM,
        "tooltip": "custom: what the inputs of this node say. Others replace steps, sampler and both guidances. "
        + choices.PRESETS.describe()
        + ".",
    },
)
ROUNDS_LIMIT = 16
"""Each round adds nodes to the running graph, and the progress messages to the page grow with their square."""

MAX_ROUNDS = (
    "INT",
    {
        "default": PAPER_LOOP.max_rounds,
        "min": 1,
        "max": ROUNDS_LIMIT,
        "tooltip": "Rounds at most, one degradation each; the loop stops earlier when the picture is clean. The "
        "paper's limit is 7.",
    },
)
TEXT_GUIDANCE = (
    "FLOAT",
    {
        "default": PAPER_SAMPLER.text_guidance,
        "min": GUIDANCE_RANGE[0],
        "max": GUIDANCE_RANGE[1],
        "step": 0.1,
        "tooltip": "How strongly the text condition drives the result. The paper uses 1, no extrapolation; above it "
        "each step costs another evaluation of the network.",
    },
)
IMAGE_GUIDANCE = (
    "FLOAT",
    {
        "default": PAPER_SAMPLER.image_guidance,
        "min": GUIDANCE_RANGE[0],
        "max": GUIDANCE_RANGE[1],
        "step": 0.1,
        "tooltip": "How strongly the degraded picture holds the result. The paper uses 1, no extrapolation; other "
        "values cost another evaluation of the network per step.",
    },
)
SAMPLER_SETTINGS_TYPE, LOOP_SETTINGS_TYPE = "AUTODIR_SAMPLER_SETTINGS", "AUTODIR_LOOP_SETTINGS"
SAMPLER_SETTINGS: Widget = (
    SAMPLER_SETTINGS_TYPE,
    {
        "tooltip": "From AutoDIR Sampler Settings: replaces steps, sampler and both guidances, whatever they say here, "
        "and has a negative prompt.",
    },
)
LOOP_SETTINGS: Widget = (
    LOOP_SETTINGS_TYPE,
    {
        "tooltip": "From AutoDIR Loop Settings: replaces labels, crops, min_confidence, gate and strength, whatever "
        "they say here, and has order, local and candidates.",
    },
)
MASK = (
    "MASK",
    {
        "tooltip": "Where to restore: 1 restores, 0 keeps the input bit for bit, values between mix. Any size; it is "
        "scaled to the picture. Leave it unconnected to restore everything: Load Image gives an empty mask when "
        "nothing was painted, and that restores nothing.",
    },
)
LABELS = (
    "STRING",
    {
        "default": "",
        "advanced": True,
        "tooltip": "Labels to look for, separated by commas. Empty looks for all of the model, as the paper does. "
        'Without "no" in the list the loop cannot find the picture clean.',
    },
)
CROPS: Widget = (
    list(choices.CROPS),
    {
        "default": PAPER_LOOP.crops,
        "tooltip": "What the model looks at, at native resolution. center, the paper's, is the center crop, 224 pixels "
        "officially. grid averages the probabilities of up to 9 crops from border to border, up to 49 in pictures of "
        "more than 2016 pixels a side, so damage at the borders counts too; assessing takes as many times as long.",
        "old_names": ["view"],
        "old_values": {"centre": "center"},
    },
)
MIN_CONFIDENCE: Widget = (
    "FLOAT",
    {
        "default": PAPER_LOOP.min_confidence,
        "min": 0.0,
        "max": 1.0,
        "step": 0.05,
        "advanced": True,
        "tooltip": "How probable a degradation must be to be restored: 0.5 is 50 percent. If the most probable one "
        "falls below, the picture is finished, and the report says low confidence. 0 restores whatever wins, as the "
        "paper does.",
        "old_names": ["threshold"],
    },
)

GATE_FROM_PRESET = "preset"
GATE: Widget = (
    [GATE_FROM_PRESET, "on", "off"],
    {
        "default": GATE_FROM_PRESET,
        "advanced": True,
        "tooltip": "The quality gate accepts a round only where the damage went and the content stayed; else it tries "
        "half and a quarter of the change, then keeps the picture as it was. preset: on with best and fast, off "
        "with paper and custom.",
    },
)
STRENGTH: Widget = (
    "FLOAT",
    {
        "default": PAPER_LOOP.strength,
        "min": 0.0,
        "max": 1.0,
        "step": 0.05,
        "tooltip": "Part of the whole change that the result has: 1 restores in full, 0 leaves the picture as it is. "
        "What is found and accepted does not depend on it.",
    },
)

ONE_DECISION: Widget = (
    "BOOLEAN",
    {
        "default": False,
        "advanced": True,
        "tooltip": "Frames of one shot: decide once for the whole batch, so that they do not flicker, instead of for "
        "each picture.",
    },
)


def advanced(socket: Widget) -> Widget:
    """Return a widget as one that the page shows only on demand."""
    kind, options = socket
    return kind, {**options, "advanced": True}


def basic(socket: Widget) -> Widget:
    """Return a widget as one that the page always shows."""
    kind, options = socket
    return kind, {name: value for name, value in options.items() if name != "advanced"}


def explain(socket: Widget, more: str) -> Widget:
    """Return an input with another sentence in its tooltip."""
    kind, options = socket
    return kind, {**options, "tooltip": f"{options['tooltip']} {more}"}


def split_alpha(image: Tensor) -> tuple[Tensor, Tensor | None]:
    """Split an IMAGE into its colors [B, H, W, 3] and its alpha [B, H, W, 1], None where it has none."""
    return image[..., :3], image[..., 3:] if image.shape[-1] == 4 else None


def with_alpha(colors: Tensor, alpha: Tensor | None) -> Tensor:
    """Return the colors [B, H, W, 3] with the alpha that `split_alpha` took off."""
    return colors if alpha is None else torch.cat([colors, alpha.to(colors)], dim=-1)


def condition_of(conditioning: Conditioning, batch: int, width: int) -> Tensor:
    """Return the text condition [B, T, D] of a CONDITIONING; raises InputError unless one entry fits the model.

    Args:
        conditioning: from AutoDIR Blend or Prompt, or from a native node with the same text encoder; T is 77, or more
            where texts were joined: the network attends to any number of tokens.
        batch: number of pictures B.
        width: D of the model.
    """
    embedding, _ = only_entry(conditioning)
    if embedding.ndim != 3 or embedding.shape[2] != width or len(embedding) not in (1, batch):
        raise InputError(
            f"the conditioning must be [1 or {batch}, tokens, {width}] for this model and these pictures, got "
            f"{list(embedding.shape)}; make it with AutoDIR Blend or AutoDIR Prompt of the same model"
        )
    return embedding.expand(batch, -1, -1)


def only_entry(conditioning: Conditioning) -> tuple[Tensor, dict[str, Any]]:
    """Return the single entry of a CONDITIONING: the embedding [B, T, D] and its other values."""
    if len(conditioning) != 1:
        raise InputError(
            f"the conditioning has {len(conditioning)} entries, one is needed; join them with AutoDIR Mix or "
            "Conditioning (Average) instead of Conditioning (Combine)"
        )
    embedding, extra = conditioning[0]
    return embedding, extra
