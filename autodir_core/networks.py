"""Builds the four networks from their sizes, on whatever device is current (the meta device included)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .nafnet import NAFNet
from .shapes import CLIPSizes, ModelSizes, SCMSizes, UNetSizes, VAESizes

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from open_clip import CLIP


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
    from diffusers import UNet2DConditionModel

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
    from diffusers import AutoencoderKL

    levels = len(sizes.channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=sizes.channels,
        layers_per_block=sizes.blocks,
        latent_channels=sizes.latent_channels,
        norm_num_groups=sizes.groups,
    )


def build_clip(sizes: CLIPSizes) -> CLIP:
    """CLIP of open_clip with OpenAI's quick GELU."""
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
