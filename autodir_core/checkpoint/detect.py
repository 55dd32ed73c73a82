"""Detect what a weights file is from the shapes of its tensors: the sizes of its networks, or a guess in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from ..networks.config import CLIPConfig, ModelConfig, SCMConfig, UNetConfig, VAEConfig
from .key_map import CLIP_PREFIX, SCM_PREFIX, UNET_PREFIX, VAE_PREFIX, strip_prefix
from .metadata import ModelMetadata

Shapes = Mapping[str, tuple[int, ...]]


def infer_config(shapes: Shapes, metadata: ModelMetadata) -> ModelConfig:
    """Return the sizes of a checkpoint with official key names.

    Raises KeyError for the first key that is missing, ValueError or IndexError for a shape of the wrong rank, and
    InputError for sizes that no network can have.
    """
    return ModelConfig(
        unet=infer_unet_config(strip_prefix(shapes, UNET_PREFIX), metadata),
        vae=infer_vae_config(strip_prefix(shapes, VAE_PREFIX), metadata),
        clip=infer_clip_config(strip_prefix(shapes, CLIP_PREFIX), metadata),
        scm=infer_scm_config(strip_prefix(shapes, SCM_PREFIX)),
    )


def sequence_length(shapes: Shapes, pattern: str) -> int:
    """Count the consecutive numbers from 0 that the one group of `pattern` takes among the keys."""
    found = {int(match[1]) for key in shapes if (match := re.match(pattern, key))}
    return next(i for i in range(len(found) + 1) if i not in found)


def infer_unet_config(shapes: Shapes, metadata: ModelMetadata) -> UNetConfig:
    """Return the sizes of an LDM UNet: a level ends at each `op` (downsampling) block."""
    channels, attention, blocks = [], [], 0
    for i in range(1, sequence_length(shapes, r"input_blocks\.(\d+)\.")):
        if f"input_blocks.{i}.0.op.weight" in shapes:
            continue
        if i == 1 or f"input_blocks.{i - 1}.0.op.weight" in shapes:  # a new level
            channels.append(shapes[f"input_blocks.{i}.0.out_layers.3.weight"][0])
            attention.append(f"input_blocks.{i}.1.proj_in.weight" in shapes)
        blocks += len(channels) == 1
    return UNetConfig(
        in_channels=shapes["input_blocks.0.0.weight"][1],
        out_channels=shapes["out.2.weight"][0],
        channels=tuple(channels),
        blocks=blocks,
        attention=tuple(attention),
        context=shapes["middle_block.1.transformer_blocks.0.attn2.to_k.weight"][1],
        heads=metadata.unet_heads,
        groups=metadata.norm_groups,
    )


def infer_vae_config(shapes: Shapes, metadata: ModelMetadata) -> VAEConfig:
    """Return the sizes of an LDM AutoencoderKL."""
    levels = sequence_length(shapes, r"encoder\.down\.(\d+)\.")
    return VAEConfig(
        channels=tuple(shapes[f"encoder.down.{i}.block.0.conv1.weight"][0] for i in range(levels)),
        blocks=sequence_length(shapes, r"encoder\.down\.0\.block\.(\d+)\."),
        latent_channels=shapes["post_quant_conv.weight"][0],
        groups=metadata.norm_groups,
    )


def infer_clip_config(shapes: Shapes, metadata: ModelMetadata) -> CLIPConfig:
    """Return the sizes of a Hugging Face CLIPModel; the image side follows from the number of position embeddings."""
    vision_width, _, patch, _ = shapes["vision_model.embeddings.patch_embedding.weight"]
    positions = shapes["vision_model.embeddings.position_embedding.weight"][0] - 1
    context, text_width = shapes["text_model.embeddings.position_embedding.weight"]
    return CLIPConfig(
        embedding=shapes["text_projection.weight"][0],
        text_width=text_width,
        text_layers=sequence_length(shapes, r"text_model\.encoder\.layers\.(\d+)\."),
        text_heads=metadata.text_heads,
        text_hidden=shapes["text_model.encoder.layers.0.mlp.fc1.weight"][0],
        vocabulary=shapes["text_model.embeddings.token_embedding.weight"][0],
        vision_width=vision_width,
        vision_layers=sequence_length(shapes, r"vision_model\.encoder\.layers\.(\d+)\."),
        vision_heads=metadata.vision_heads,
        vision_hidden=shapes["vision_model.encoder.layers.0.mlp.fc1.weight"][0],
        patch=patch,
        image=patch * math.isqrt(positions),
        context=context,
    )


def infer_scm_config(shapes: Shapes) -> SCMConfig:
    """Return the sizes of NAFNet."""
    levels = sequence_length(shapes, r"downs\.(\d+)\.")
    return SCMConfig(
        width=shapes["intro.weight"][0],
        encoder_blocks=tuple(sequence_length(shapes, rf"encoders\.{i}\.(\d+)\.") for i in range(levels)),
        middle_blocks=sequence_length(shapes, r"middle_blks\.(\d+)\."),
        decoder_blocks=tuple(sequence_length(shapes, rf"decoders\.{i}\.(\d+)\.") for i in range(levels)),
    )


def guess_kind(shapes: Shapes) -> str:
    """Return what a foreign file probably is, by telltale keys."""
    for guess, applies in GUESSES.items():
        if applies(shapes):
            return guess
    return "a file this pack does not know"


def _ldm_inputs(shapes: Shapes) -> int:
    """Return the input channels of the LDM UNet in a file, 0 where there is none."""
    return (*shapes.get(f"{UNET_PREFIX}input_blocks.0.0.weight", ()), 0, 0)[1]


def _any_key(shapes: Shapes, *parts: str) -> bool:
    return any(part in key for key in shapes for part in parts)


GUESSES: dict[str, Callable[[Shapes], bool]] = {
    "an empty file without tensors": lambda s: not s,
    "a LoRA (load it in ComfyUI on top of a model)": lambda s: _any_key(s, "lora_up", "lora_down", "lora_A", "lora_B"),
    "an SDXL checkpoint": lambda s: _any_key(s, "conditioner.embedders"),
    "an incomplete or different AutoDIR model": lambda s: _any_key(s, CLIP_PREFIX, SCM_PREFIX) and _ldm_inputs(s) > 0,
    "an InstructPix2Pix checkpoint": lambda s: _ldm_inputs(s) == 8,
    "a plain Stable Diffusion 1.5 checkpoint": lambda s: _ldm_inputs(s) == 4,
    "a Stable Diffusion inpainting checkpoint": lambda s: _ldm_inputs(s) == 9,
    "one network of a diffusers folder": lambda s: _any_key(s, "down_blocks.0.", "up_blocks.0."),
    "a VAE": lambda s: _any_key(s, "encoder.down.0.block", "first_stage_model."),
    "a CLIP model": lambda s: _any_key(s, "text_model.encoder.layers", "visual.transformer"),
    "a NAFNet": lambda s: _any_key(s, "middle_blks."),
}
