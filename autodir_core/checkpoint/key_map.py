"""Translate parameter names and layouts between the official checkpoint and our networks, both ways.

The official names are those of LDM (UNet, VAE), Hugging Face CLIP and NAFNet; ours those of diffusers and open_clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor

from ..networks.config import ModelConfig, UNetConfig, VAEConfig

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
CLIP_PREFIX = "model_assessment.clipmodel."
SCM_PREFIX = "NAFNet."
NETWORK_PREFIXES = {"UNet": UNET_PREFIX, "VAE": VAE_PREFIX, "CLIP": CLIP_PREFIX, "SCM": SCM_PREFIX}

T = TypeVar("T")
Pair = tuple[str, str]
KeyMap = dict[str, tuple[str, ...]]

SCHEDULE_BUFFERS = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
)
POSITION_IDS = (
    f"{CLIP_PREFIX}text_model.embeddings.position_ids",
    f"{CLIP_PREFIX}vision_model.embeddings.position_ids",
)
NOT_NEEDED = frozenset(SCHEDULE_BUFFERS + POSITION_IDS)
"""Official keys that follow from the schedule and the sizes: present in the official file, never read."""

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
CLIP_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
CLIP_TEXT = {
    "token_embedding": "text_model.embeddings.token_embedding",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final": "text_model.final_layer_norm",
    "text_projection": "text_projection.weight",
    "logit_scale": "logit_scale",
}
CLIP_VISION = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1": "vision_model.embeddings.patch_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
    "visual.proj": "visual_projection.weight",
}


def strip_prefix(entries: Mapping[str, T], prefix: str) -> dict[str, T]:
    """Return the entries under a prefix, without it."""
    return {key[len(prefix) :]: value for key, value in entries.items() if key.startswith(prefix)}


def build_key_map(our_keys: Iterable[str], config: ModelConfig) -> KeyMap:
    """Return, for each of our parameters, the official key it comes from, or the three of query, key and value."""
    modules = dict(module_pairs(config))
    return {key: official_keys(key, modules) for key in our_keys}


def official_keys(key: str, modules: dict[str, str]) -> tuple[str, ...]:
    """Return the official keys of one parameter, by the longest known prefix of its name."""
    prefix = key
    while prefix not in modules:
        prefix = prefix.rpartition(".")[0]
    official = modules[prefix] + key[len(prefix) :]
    if ".attn.in_proj_" in key:
        return tuple(official.replace("attn.in_proj_", f"self_attn.{name}_proj.") for name in "qkv")
    return (official,)


def from_official(tensors: Sequence[Tensor], key: str, shape: Sequence[int]) -> Tensor:
    """Return our parameter: q, k, v concatenated, projections transposed, 1x1 convolutions flattened."""
    tensor = torch.cat(list(tensors)) if len(tensors) > 1 else tensors[0]
    return (tensor.T if is_transposed(key) else tensor).reshape(tuple(shape))


def to_official(tensor: Tensor, key: str, official: Sequence[str]) -> dict[str, Tensor]:
    """Return the official tensors of one of our parameters, in its memory: the inverse of `from_official`."""
    if is_transposed(key):
        tensor = tensor.T
    if ".mid.attn_1." in official[0] and tensor.ndim == 2:
        tensor = tensor[..., None, None]
    parts = tensor.chunk(len(official)) if len(official) > 1 else (tensor,)
    return dict(zip(official, parts, strict=True))


def is_transposed(key: str) -> bool:
    """Whether layouts differ: open_clip multiplies by its projections from the right, Hugging Face from the left."""
    return key in ("clip.text_projection", "clip.visual.proj")


def module_pairs(config: ModelConfig) -> Iterator[Pair]:
    """Yield (our name, official name) of every module, or of the subtree whose names all agree."""
    yield from with_prefixes(unet_pairs(config.unet), "unet.", UNET_PREFIX)
    yield from with_prefixes(vae_pairs(config.vae), "vae.", VAE_PREFIX)
    yield from with_prefixes(clip_pairs(config), "clip.", CLIP_PREFIX)
    yield "scm", SCM_PREFIX.removesuffix(".")


def with_prefixes(pairs: Iterable[Pair], ours: str, official: str) -> Iterator[Pair]:
    """Yield the pairs with a prefix before each name."""
    return ((ours + a, official + b) for a, b in pairs)


def unet_pairs(config: UNetConfig) -> Iterator[Pair]:
    """Yield the UNet's: LDM numbers the blocks of all levels consecutively, diffusers level by level."""
    yield from [("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2")]
    yield from [("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2")]
    yield from unet_resnet("mid_block.resnets.0", "middle_block.0")
    yield "mid_block.attentions.0", "middle_block.1"
    yield from unet_resnet("mid_block.resnets.1", "middle_block.2")
    row = config.blocks + 1  # blocks per level, with the one that changes the resolution
    for level, k in product(range(len(config.channels)), range(config.blocks)):
        yield from unet_resnet(f"down_blocks.{level}.resnets.{k}", f"input_blocks.{1 + level * row + k}.0")
        yield f"down_blocks.{level}.attentions.{k}", f"input_blocks.{1 + level * row + k}.1"
    for level, k in product(range(len(config.channels)), range(row)):
        yield from unet_resnet(f"up_blocks.{level}.resnets.{k}", f"output_blocks.{level * row + k}.0")
        yield f"up_blocks.{level}.attentions.{k}", f"output_blocks.{level * row + k}.1"
    for level, attention in enumerate(config.attention):
        yield f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{(level + 1) * row}.0.op"
        up = len(config.attention) - 1 - level
        yield f"up_blocks.{up}.upsamplers.0.conv", f"output_blocks.{(up + 1) * row - 1}.{1 + attention}.conv"


def vae_pairs(config: VAEConfig) -> Iterator[Pair]:
    """Yield the VAE's: LDM numbers the decoder's levels from the image, diffusers from the latent."""
    levels = len(config.channels)
    yield from [("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv")]
    for side in ("encoder", "decoder"):
        yield from [(f"{side}.{name}", f"{side}.{name}") for name in ("conv_in", "conv_out")]
        yield f"{side}.conv_norm_out", f"{side}.norm_out"
        yield from vae_resnet(f"{side}.mid_block.resnets.0", f"{side}.mid.block_1")
        yield from vae_resnet(f"{side}.mid_block.resnets.1", f"{side}.mid.block_2")
        yield from child_pairs(f"{side}.mid_block.attentions.0", f"{side}.mid.attn_1", VAE_ATTENTION)
    for level, k in product(range(levels), range(config.blocks)):
        yield from vae_resnet(f"encoder.down_blocks.{level}.resnets.{k}", f"encoder.down.{level}.block.{k}")
    for level, k in product(range(levels), range(config.blocks + 1)):
        yield from vae_resnet(f"decoder.up_blocks.{level}.resnets.{k}", f"decoder.up.{levels - 1 - level}.block.{k}")
    for level in range(levels):
        yield f"encoder.down_blocks.{level}.downsamplers.0.conv", f"encoder.down.{level}.downsample.conv"
        yield f"decoder.up_blocks.{level}.upsamplers.0.conv", f"decoder.up.{levels - 1 - level}.upsample.conv"


def clip_pairs(config: ModelConfig) -> Iterator[Pair]:
    """Yield CLIP's: open_clip has the text tower at the root and the vision tower under `visual`."""
    yield from CLIP_TEXT.items()
    yield from CLIP_VISION.items()
    for ours, official, layers in (
        ("transformer", "text_model", config.clip.text_layers),
        ("visual.transformer", "vision_model", config.clip.vision_layers),
    ):
        for i in range(layers):
            yield from child_pairs(f"{ours}.resblocks.{i}", f"{official}.encoder.layers.{i}", CLIP_BLOCK)
            yield f"{ours}.resblocks.{i}", f"{official}.encoder.layers.{i}"


def unet_resnet(ours: str, official: str) -> Iterator[Pair]:
    """Yield a UNet residual block's."""
    return child_pairs(ours, official, RESNET)


def vae_resnet(ours: str, official: str) -> Iterator[Pair]:
    """Yield a VAE residual block's: all names agree but the shortcut's."""
    yield ours, official
    yield f"{ours}.conv_shortcut", f"{official}.nin_shortcut"


def child_pairs(ours: str, official: str, names: dict[str, str]) -> Iterator[Pair]:
    """Yield the children of a module, by a table of their names."""
    return ((f"{ours}.{a}", f"{official}.{b}") for a, b in names.items())
