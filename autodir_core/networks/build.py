"""Build the four networks from their configuration, on the current device (the meta device included)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar, cast

import torch
from torch import nn

from ..optional_imports import optional_import
from .config import CLIPConfig, ModelConfig, SCMConfig, UNetConfig, VAEConfig
from .group_norm import exact_group_norms
from .nafnet import NAFNet

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from open_clip import CLIP
    from open_clip.transformer import VisionTransformer

Module = TypeVar("Module", bound=nn.Module)


class Networks(nn.Module):
    """The four networks of one model; `checkpoint.key_map` translates the names of its state dict.

    Attributes:
        shared_device: the device on which the networks take turns, while all weights stay in the CPU's memory, or are
            moved by `loader`; None where they are on their device together.
        loader: brings the networks of these names to the shared device, where another program has them in its care.
        safe_dtypes: by name the precision that a network computes in because its own overflowed, see `call_finite`.
    """

    shared_device: torch.device | None = None
    loader: Callable[[Collection[str]], None] | None = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.unet = build_unet(config.unet)
        self.vae = build_vae(config.vae)
        self.clip = build_clip(config.clip)
        self.scm = build_scm(config.scm)
        self.present: frozenset[str] = frozenset()
        self.safe_dtypes: dict[str, torch.dtype] = {}

    @property
    def execution_device(self) -> torch.device:
        """The device that the networks run on."""
        return self.shared_device or next(self.unet.parameters()).device

    @contextmanager
    def on_device(self, name: str) -> Iterator[None]:
        """Have a network on its device within the block."""
        if self.shared_device is None or name in self.present:
            yield
            return
        before, self.present = self.present, self.present | {name}
        try:
            with nullcontext(self.loader(self.present)) if self.loader else self.copied(name):
                yield
        finally:
            self.present = before

    @contextmanager
    def copied(self, name: str) -> Iterator[None]:
        """Have a copy of a network's weights on the shared device within the block, in the place of the weights."""
        network = self.get_submodule(name)
        waiting = [(tensor, tensor.data) for tensor in (*network.parameters(), *network.buffers())]
        try:
            for tensor, data in waiting:
                tensor.data = data.to(self.shared_device, copy=True)
            yield
        finally:
            for tensor, data in waiting:
                tensor.data = data


def weight_bytes(network: nn.Module) -> int:
    """Return the size of all weights of one or several networks."""
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))


def weight_dtype(network: nn.Module) -> torch.dtype:
    """Return the precision of a network, by its first parameter: the property of diffusers searches all of them."""
    return next(network.parameters()).dtype


def restore_buffers(networks: Networks) -> None:
    """Fill what no state dict holds: open_clip's causal mask, which stays on the meta device otherwise."""
    length = networks.clip.context_length
    networks.clip.attn_mask = torch.full((length, length), float("-inf")).triu(1)


def build_unet(config: UNetConfig) -> UNet2DConditionModel:
    """Return the SD 1.x UNet of diffusers; its argument `attention_head_dim` means the number of heads."""
    with optional_import("diffusers"):
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    down = ["CrossAttnDownBlock2D" if attention else "DownBlock2D" for attention in config.attention]
    up = ["CrossAttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(config.attention)]
    unet = UNet2DConditionModel(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=config.channels,
        layers_per_block=config.blocks,
        cross_attention_dim=config.context,
        attention_head_dim=config.heads,
        norm_num_groups=config.groups,
    )
    return exact_group_norms(unet)


def build_vae(config: VAEConfig) -> AutoencoderKL:
    """Return the SD 1.x autoencoder of diffusers."""
    with optional_import("diffusers"):
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

        from .skipping import skip_zero_branches

    levels = len(config.channels)
    # the annotations of diffusers allow for one level only
    vae = cast("Callable[..., AutoencoderKL]", AutoencoderKL)(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.channels,
        layers_per_block=config.blocks,
        latent_channels=config.latent_channels,
        norm_num_groups=config.groups,
    )
    return exact_group_norms(skip_zero_branches(vae))


def build_clip(config: CLIPConfig) -> CLIP:
    """Return the CLIP of open_clip with OpenAI's quick GELU."""
    with optional_import("open_clip"):
        from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

        from .vision_blocks import fuse_vision_blocks

    vision = CLIPVisionCfg(
        layers=config.vision_layers,
        width=config.vision_width,
        head_width=config.vision_width // config.vision_heads,
        mlp_ratio=config.vision_hidden / config.vision_width,
        patch_size=config.patch,
        image_size=config.image,
    )
    text = CLIPTextCfg(
        context_length=config.context,
        vocab_size=config.vocabulary,
        width=config.text_width,
        heads=config.text_heads,
        layers=config.text_layers,
        mlp_ratio=config.text_hidden / config.text_width,
    )
    return fuse_vision_blocks(CLIP(config.embedding, vision, text, quick_gelu=True))


def build_scm(config: SCMConfig) -> NAFNet:
    """Return the NAFNet of the structure correction module."""
    return NAFNet(
        config.width,
        config.encoder_blocks,
        middle_blocks=config.middle_blocks,
        decoder_blocks=config.decoder_blocks,
    )


def submodule(network: nn.Module, path: str, kind: type[Module]) -> Module:
    """Return the module at a dotted path inside a network; TypeError unless it is a `kind`."""
    found = network.get_submodule(path)
    if not isinstance(found, kind):
        raise TypeError(f"{path} must be a {kind.__name__}, got a {type(found).__name__}")
    return found


def vision_tower(clip: CLIP) -> VisionTransformer:
    """Return the vision transformer of a CLIP; open_clip builds other towers too, this pack does not."""
    from open_clip.transformer import VisionTransformer

    return submodule(clip, "visual", VisionTransformer)


def vision_image_size(clip: CLIP) -> int:
    """Return the side in pixels of the square that the vision tower sees."""
    return cast("tuple[int, int]", vision_tower(clip).image_size)[0]
