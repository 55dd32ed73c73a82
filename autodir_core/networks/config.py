"""Reads the sizes of every network off the shapes of a checkpoint's tensors, and names what shapes cannot tell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from ..errors import CheckpointError
from ..labels import LABELS

Shapes = Mapping[str, tuple[int, ...]]

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
CLIP_PREFIX = "model_assessment.clipmodel."
SCM_PREFIX = "NAFNet."

METADATA_KEY = "autodir"
"""The safetensors metadata entry whose JSON overrides `ModelMetadata`."""


@dataclass(frozen=True)
class ModelMetadata:
    """What shapes cannot tell, with the official values; a file's metadata overrides them by name."""

    unet_heads: int = 8
    text_heads: int = 12
    vision_heads: int = 16
    norm_groups: int = 32
    latent_scale: float = 0.18215
    labels: tuple[str, ...] = LABELS
    scm_weight: Mapping[str, float] = field(default_factory=lambda: {"low resolution": 0.0})
    name: str = ""
    provenance: str = ""
    licence: str = ""

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> ModelMetadata:
        """The metadata in a safetensors header; CheckpointError where the entry is not what it should be."""
        text = metadata.get(METADATA_KEY, "{}")
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise CheckpointError(f"the metadata entry {METADATA_KEY!r} is not JSON: {error}") from error
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise CheckpointError(f"the metadata names unknown keys: {', '.join(sorted(unknown))}")
        if "labels" in values:
            values["labels"] = tuple(values["labels"])
        return cls(**values)

    def to_metadata(self) -> dict[str, str]:
        """The metadata as a safetensors metadata entry."""
        return {METADATA_KEY: json.dumps(asdict(self), ensure_ascii=False)}


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of the denoiser; one entry per resolution level in `channels` and `attention`."""

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    blocks: int
    attention: tuple[bool, ...]
    context: int
    heads: int
    groups: int = 32


@dataclass(frozen=True)
class VAEConfig:
    """Sizes of the autoencoder; one entry per resolution level in `channels`."""

    channels: tuple[int, ...]
    blocks: int
    latent_channels: int
    groups: int = 32


@dataclass(frozen=True)
class CLIPConfig:
    """Sizes of the two towers of CLIP; `image` is the side of the square that the vision tower sees, in pixels."""

    embedding: int
    text_width: int
    text_layers: int
    text_heads: int
    text_hidden: int
    vocabulary: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    vision_hidden: int
    patch: int
    image: int
    context: int = 77


@dataclass(frozen=True)
class SCMConfig:
    """Sizes of NAFNet; blocks per level as in `nafnet.NAFNet`."""

    width: int
    encoder_blocks: tuple[int, ...]
    middle_blocks: int
    decoder_blocks: tuple[int, ...]


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the four networks of one AutoDIR model."""

    unet: UNetConfig
    vae: VAEConfig
    clip: CLIPConfig
    scm: SCMConfig


def infer_config(shapes: Shapes, metadata: ModelMetadata) -> ModelConfig:
    """Sizes of a checkpoint with official key names; KeyError for the first key that should be there and is not."""
    return ModelConfig(
        unet=infer_unet_config(strip_prefix(shapes, UNET_PREFIX), metadata),
        vae=infer_vae_config(strip_prefix(shapes, VAE_PREFIX), metadata),
        clip=infer_clip_config(strip_prefix(shapes, CLIP_PREFIX), metadata),
        scm=infer_scm_config(strip_prefix(shapes, SCM_PREFIX)),
    )


def strip_prefix(shapes: Shapes, prefix: str) -> Shapes:
    """The entries under a prefix, without it."""
    return {key[len(prefix) :]: shape for key, shape in shapes.items() if key.startswith(prefix)}


def sequence_length(shapes: Shapes, pattern: str) -> int:
    """How many consecutive numbers from 0 the one group of `pattern` takes among the keys."""
    found = {int(match[1]) for key in shapes if (match := re.match(pattern, key))}
    return next(i for i in range(len(found) + 1) if i not in found)


def infer_unet_config(shapes: Shapes, metadata: ModelMetadata) -> UNetConfig:
    """Sizes of an LDM UNet: a level ends at each `op` (downsampling) block."""
    channels, attention, blocks = [], [], 0
    for i in range(1, sequence_length(shapes, r"input_blocks\.(\d+)\.")):
        if f"input_blocks.{i}.0.op.weight" in shapes:
            continue
        new_level = i == 1 or f"input_blocks.{i - 1}.0.op.weight" in shapes
        if new_level:
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
    """Sizes of an LDM AutoencoderKL."""
    levels = sequence_length(shapes, r"encoder\.down\.(\d+)\.")
    return VAEConfig(
        channels=tuple(shapes[f"encoder.down.{i}.block.0.conv1.weight"][0] for i in range(levels)),
        blocks=sequence_length(shapes, r"encoder\.down\.0\.block\.(\d+)\."),
        latent_channels=shapes["post_quant_conv.weight"][0],
        groups=metadata.norm_groups,
    )


def infer_clip_config(shapes: Shapes, metadata: ModelMetadata) -> CLIPConfig:
    """Sizes of a Hugging Face CLIPModel; the image side follows from the number of position embeddings."""
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
        image=patch * round(positions**0.5),
        context=context,
    )


def infer_scm_config(shapes: Shapes) -> SCMConfig:
    """Sizes of NAFNet."""
    levels = sequence_length(shapes, r"downs\.(\d+)\.")
    return SCMConfig(
        width=shapes["intro.weight"][0],
        encoder_blocks=tuple(sequence_length(shapes, rf"encoders\.{i}\.(\d+)\.") for i in range(levels)),
        middle_blocks=sequence_length(shapes, r"middle_blks\.(\d+)\."),
        decoder_blocks=tuple(sequence_length(shapes, rf"decoders\.{i}\.(\d+)\.") for i in range(levels)),
    )
