"""The sizes of the four networks, checked when they are named: what is built from them can run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from ..errors import InputError

CONTEXT, VOCABULARY = 77, 49408
"""Tokens of a text and their number, with the two special ones: those of OpenAI's tokenizer."""


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

    def __post_init__(self) -> None:
        _check_positive(self)
        if len(self.attention) != len(self.channels):
            raise InputError(f"the UNet has {len(self.channels)} levels, but attention for {len(self.attention)}")
        attended = [width for width, attention in zip(self.channels, self.attention, strict=True) if attention]
        _check_divisible("unet_heads", self.heads, (*attended, self.channels[-1]))
        _check_divisible("norm_groups", self.groups, self.channels)


@dataclass(frozen=True)
class VAEConfig:
    """Sizes of the autoencoder; one entry per resolution level in `channels`."""

    channels: tuple[int, ...]
    blocks: int
    latent_channels: int
    groups: int = 32

    def __post_init__(self) -> None:
        _check_positive(self)
        _check_divisible("norm_groups", self.groups, self.channels)


@dataclass(frozen=True)
class CLIPConfig:
    """Sizes of the two towers of CLIP; `image` is the side in pixels of the square that the vision tower sees."""

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
    context: int = CONTEXT

    def __post_init__(self) -> None:
        _check_positive(self)
        _check_divisible("text_heads", self.text_heads, (self.text_width,))
        _check_divisible("vision_heads", self.vision_heads, (self.vision_width,))


@dataclass(frozen=True)
class SCMConfig:
    """Sizes of NAFNet; blocks per level as in `nafnet.NAFNet`."""

    width: int
    encoder_blocks: tuple[int, ...]
    middle_blocks: int
    decoder_blocks: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_positive(self)
        if len(self.encoder_blocks) != len(self.decoder_blocks):
            raise InputError(
                f"the SCM needs as many decoder levels as encoder levels ({len(self.encoder_blocks)}), "
                f"got {len(self.decoder_blocks)}"
            )


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the four networks of one AutoDIR model; they must fit each other and the tokenizer."""

    unet: UNetConfig
    vae: VAEConfig
    clip: CLIPConfig
    scm: SCMConfig

    def __post_init__(self) -> None:
        latent = self.vae.latent_channels
        for name, got, expected in (
            ("input channels of the UNet (noisy latent and condition)", self.unet.in_channels, 2 * latent),
            ("output channels of the UNet (latent)", self.unet.out_channels, latent),
            ("context width of the UNet (text)", self.unet.context, self.clip.text_width),
            ("context length of CLIP (tokens)", self.clip.context, CONTEXT),
            ("vocabulary of CLIP", self.clip.vocabulary, VOCABULARY),
        ):
            if got != expected:
                raise InputError(f"the {name} must be {expected}, got {got}")


def _check_positive(config: object) -> None:
    """InputError unless all sizes are 1 or more and every level has one."""
    for field in fields(config):  # pyright: ignore[reportArgumentType] - only called with dataclasses
        value = getattr(config, field.name)
        sizes = value if isinstance(value, tuple) else (value,)
        if not sizes or any(size < 1 for size in sizes if type(size) is int):
            raise InputError(f"{type(config).__name__}.{field.name} must be 1 or more, got {value}")


def _check_divisible(name: str, parts: int, widths: Iterable[int]) -> None:
    """InputError unless heads or groups divide every width."""
    for width in widths:
        if width % parts:
            raise InputError(f"{name} = {parts} does not divide a width of {width}")
