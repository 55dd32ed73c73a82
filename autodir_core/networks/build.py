"""Builds the four networks from their sizes, on whatever device is current (the meta device included)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from torch import nn

from ..optional_imports import importing
from .config import CLIPSizes, ModelSizes, SCMSizes, UNetSizes, VAESizes
from .nafnet import NAFNet

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from open_clip import CLIP
    from open_clip.transformer import VisionTransformer

Part = TypeVar("Part", bound=nn.Module)


class Networks(nn.Module):
    """The four networks of one model; `state_dict()` has our names, `keys` translates them to the official ones."""

    def __init__(self, sizes: ModelSizes) -> None:
        super().__init__()
        self.unet = build_unet(sizes.unet)
        self.vae = build_vae(sizes.vae)
        self.clip = build_clip(sizes.clip)
        self.scm = build_scm(sizes.scm)


def build_unet(sizes: UNetSizes) -> UNet2DConditionModel:
    """The SD 1.x UNet of diffusers; its argument `attention_head_dim` means the number of heads."""
    with importing("diffusers"):
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    down = ["CrossAttnDownBlock2D" if attention else "DownBlock2D" for attention in sizes.attention]
    up = ["CrossAttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(sizes.attention)]
    return UNet2DConditionModel(
        in_channels=sizes.in_channels,
        out_channels=sizes.out_channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=sizes.channels,
        layers_per_block=sizes.blocks,
        cross_attention_dim=sizes.context,
        attention_head_dim=sizes.heads,
        norm_num_groups=sizes.groups,
    )


def build_vae(sizes: VAESizes) -> AutoencoderKL:
    """The SD 1.x autoencoder of diffusers."""
    with importing("diffusers"):
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    levels = len(sizes.channels)
    # the annotations of diffusers allow for one level only
    return cast("Callable[..., AutoencoderKL]", AutoencoderKL)(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=sizes.channels,
        layers_per_block=sizes.blocks,
        latent_channels=sizes.latent_channels,
        norm_num_groups=sizes.groups,
    )


def build_clip(sizes: CLIPSizes) -> CLIP:
    """CLIP of open_clip with OpenAI's quick GELU."""
    with importing("open_clip"):
        from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    vision = CLIPVisionCfg(
        layers=sizes.vision_layers,
        width=sizes.vision_width,
        head_width=sizes.vision_width // sizes.vision_heads,
        mlp_ratio=sizes.vision_hidden / sizes.vision_width,
        patch_size=sizes.patch,
        image_size=sizes.image,
    )
    text = CLIPTextCfg(
        context_length=sizes.context,
        vocab_size=sizes.vocabulary,
        width=sizes.text_width,
        heads=sizes.text_heads,
        layers=sizes.text_layers,
        mlp_ratio=sizes.text_hidden / sizes.text_width,
    )
    return CLIP(sizes.embedding, vision, text, quick_gelu=True)


def build_scm(sizes: SCMSizes) -> NAFNet:
    """The NAFNet of the structure correction module."""
    return NAFNet(
        sizes.width,
        sizes.encoder_blocks,
        middle_blocks=sizes.middle_blocks,
        decoder_blocks=sizes.decoder_blocks,
    )


def part(network: nn.Module, path: str, kind: type[Part]) -> Part:
    """The module at a dotted path inside a network, known to be of a kind; TypeError where it is of another."""
    found = network.get_submodule(path)
    if not isinstance(found, kind):
        raise TypeError(f"{path} must be a {kind.__name__}, got a {type(found).__name__}")
    return found


def vision_tower(clip: CLIP) -> VisionTransformer:
    """The vision transformer of a CLIP; open_clip builds other towers too, this pack does not."""
    from open_clip.transformer import VisionTransformer

    return part(clip, "visual", VisionTransformer)


def vision_side(clip: CLIP) -> int:
    """Side in pixels of the square that the vision tower sees."""
    return cast("tuple[int, int]", vision_tower(clip).image_size)[0]
