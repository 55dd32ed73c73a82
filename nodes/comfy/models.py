"""ComfyUI's own MODEL, CLIP and VAE, made from the networks of an AutoDIR model.

ComfyUI's model classes pull in every architecture that it knows, so this file is imported when a node first needs it.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.latent_formats
import comfy.model_detection
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import folder_paths
import torch
from comfy.model_patcher import ModelPatcher
from comfy.supported_models_base import ClipTarget
from torch import Tensor, nn

from ...autodir_core.checkpoint.key_map import CLIP_PREFIX, UNET_PREFIX, VAE_PREFIX, strip_prefix
from ...autodir_core.checkpoint.save import official_views
from ...autodir_core.diffusion.schedule import sigma_to_timestep, training_sigmas
from ...autodir_core.errors import InputError
from ...autodir_core.model import AutoDIR
from ...autodir_core.networks.config import VAEConfig
from .progress import SD15_LATENT

GROUPS = 32
"""Groups of every group norm that ComfyUI builds."""

VAE_WIDTH = 128
"""First width of the autoencoder that ComfyUI's memory estimates are made for."""

TEXT_TOWER = ("text_model.", "text_projection.")


def native_models(autodir: AutoDIR) -> tuple[ModelPatcher, comfy.sd.CLIP, comfy.sd.VAE]:
    """Return diffusion, text encoder and autoencoder as ComfyUI's own objects.

    Weights on the device where ComfyUI keeps idle models share the memory of the AutoDIR model; those on the GPU are
    copied. InputError for widths that ComfyUI's classes cannot have.
    """
    check_widths(autodir)
    weights = official_views(autodir.networks, autodir.config)
    return native_diffusion(autodir, weights), native_text_encoder(autodir, weights), native_vae(autodir, weights)


def check_widths(autodir: AutoDIR) -> None:
    """InputError for a first width that 32 does not divide: no other group norms can be asked of ComfyUI's classes."""
    for name, (first, *_) in (("UNet", autodir.config.unet.channels), ("VAE", autodir.config.vae.channels)):
        if first % GROUPS:
            raise InputError(
                f"ComfyUI's own networks need a first width that {GROUPS} divides, this model's {name} has {first}; "
                "use AutoDIR Sample and AutoDIR Decode, which take any"
            )


class OfficialSampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    """Noise prediction at fractional timesteps, from a start of pure noise (k-diffusion `CompVisDenoiser`).

    ComfyUI's own rounds timesteps to whole numbers and starts from noise of variance 1 + sigma^2.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_sigmas(training_sigmas())

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma_to_timestep(sigma).to(sigma.device)

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False) -> Tensor:
        return super().noise_scaling(sigma, noise, latent_image)


class AbsoluteMultiplier(int):
    """A channel multiplier that stands for a number of channels, whatever it is multiplied by.

    ComfyUI's UNet and VAE take their widths as whole multiples of the first one (`channel_mult`, `ch_mult`), and build
    group norms of 32 groups, whose widths torch checks. The embedded model has widths 64, 96, 96 and 32, 48, 64 in
    groups of 8. So this number stays what it is when ComfyUI multiplies it, and passes for divisible; `set_groups`
    corrects the groups afterwards.

    Can go, with `set_groups`, once the embedded model has widths that 32 divides and that are multiples of its first.
    """

    def __mul__(self, first: int) -> AbsoluteMultiplier:
        return self

    __rmul__ = __mul__

    def __add__(self, other: int) -> AbsoluteMultiplier:
        return AbsoluteMultiplier(int(self) + int(other))

    __radd__ = __add__

    def __mod__(self, groups: int) -> int:
        return 0


def channel_multipliers(channels: Sequence[int]) -> list[int]:
    """Return widths as ComfyUI's classes take them: true multiples of the first one where they are."""
    first = channels[0]
    return [width // first if width % first == 0 else AbsoluteMultiplier(width) for width in channels]


def set_groups(network: nn.Module, groups: int) -> None:
    """Give every group norm of a network the model's number of groups."""
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.num_groups = groups


def weights_under(prefix: str, weights: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return the weights under a prefix, without it, on a device; those that are there already are not copied."""
    return {key: tensor.to(device) for key, tensor in strip_prefix(weights, prefix).items()}


def native_diffusion(autodir: AutoDIR, weights: Mapping[str, Tensor]) -> ModelPatcher:
    """Return the UNet as ComfyUI's InstructPix2Pix model of Stable Diffusion 1.5, with the official sampling."""
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    state = weights_under(UNET_PREFIX, weights, offload_device)
    config = diffusion_config(autodir, state)
    cast = comfy.model_management.unet_manual_cast(autodir.dtype, load_device, config.supported_inference_dtypes)
    config.set_inference_dtype(autodir.dtype, cast)
    model = config.get_model(state, device=offload_device)
    model.model_sampling = OfficialSampling()
    model.diffusion_model.load_state_dict(state, assign=True)
    set_groups(model.diffusion_model, autodir.config.unet.groups)
    return patcher_class()(model, load_device=load_device, offload_device=offload_device)


def patcher_class() -> type[ModelPatcher]:
    """Return the patcher of ComfyUI's own models, which has dynamic video memory where this run has it."""
    # looked up at the call, because ComfyUI's start decides which it is
    return getattr(comfy.model_patcher, "CoreModelPatcher", ModelPatcher)


def diffusion_config(autodir: AutoDIR, state: Mapping[str, Tensor]) -> comfy.supported_models.SD15_instructpix2pix:
    """Return what ComfyUI detects in the UNet's weights, and what it cannot: odd widths, heads and latents."""
    detected = comfy.model_detection.detect_unet_config(state, "")
    widths = {"channel_mult": channel_multipliers(autodir.config.unet.channels)}
    config = comfy.supported_models.SD15_instructpix2pix({**detected, **widths})
    config.unet_config["num_heads"] = autodir.config.unet.heads
    config.latent_format = latent_format(autodir)
    return config


def latent_format(autodir: AutoDIR) -> comfy.latent_formats.LatentFormat:
    """Return the latents' channels, scale and size; for those of Stable Diffusion 1.5, with ComfyUI's own previews."""
    channels, scale = autodir.config.vae.latent_channels, autodir.metadata.latent_scale
    if (channels, autodir.factor) == SD15_LATENT:
        return comfy.latent_formats.SD15(scale)
    custom = comfy.latent_formats.LatentFormat()
    custom.latent_channels, custom.scale_factor = channels, scale
    # the spelling of ComfyUI, which reads it from versions after 0.3.64 on
    custom.spacial_downscale_ratio = autodir.factor
    return custom


def native_text_encoder(autodir: AutoDIR, weights: Mapping[str, Tensor]) -> comfy.sd.CLIP:
    """Return the text tower as ComfyUI's CLIP of Stable Diffusion 1.5: last layer, final norm, no padding mask."""
    clip_config, dtype = autodir.config.clip, autodir.dtype
    host_config = {
        "hidden_size": clip_config.text_width,
        "num_hidden_layers": clip_config.text_layers,
        "num_attention_heads": clip_config.text_heads,
        "intermediate_size": clip_config.text_hidden,
    }
    clip = comfy.sd.CLIP(
        ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel),
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        model_options={"dtype": dtype, "clip_l_model_config": host_config},
    )
    device = comfy.model_management.text_encoder_offload_device()
    tower = clip.cond_stage_model.clip_l.transformer
    # ComfyUI builds a square projection
    tower.text_projection = comfy.ops.manual_cast.Linear(
        clip_config.text_width, clip_config.embedding, bias=False, dtype=dtype, device=device
    )
    state = weights_under(CLIP_PREFIX, weights, device)
    tower.load_state_dict({key: state[key] for key in state if key.startswith(TEXT_TOWER)}, assign=True)
    return clip


def native_vae(autodir: AutoDIR, weights: Mapping[str, Tensor]) -> comfy.sd.VAE:
    """Return the autoencoder as ComfyUI's VAE, which crops pictures to multiples of its factor."""
    config, factor = autodir.config.vae, autodir.factor
    state = weights_under(VAE_PREFIX, weights, comfy.model_management.vae_offload_device())
    vae = comfy.sd.VAE(sd=state, config={"params": vae_config(config)}, dtype=autodir.networks.vae.dtype)
    # the constructor copied them
    vae.first_stage_model.load_state_dict(state, assign=True)
    set_groups(vae.first_stage_model, config.groups)
    vae.latent_channels, vae.downscale_ratio, vae.upscale_ratio = config.latent_channels, factor, factor
    encode_bytes, decode_bytes = vae.memory_used_encode, vae.memory_used_decode
    width, area = config.channels[0] / VAE_WIDTH, (factor / SD15_LATENT[1]) ** 2
    vae.memory_used_encode = lambda shape, dtype: width * encode_bytes(shape, dtype)
    vae.memory_used_decode = lambda shape, dtype: width * area * decode_bytes(shape, dtype)
    return vae


def vae_config(config: VAEConfig) -> dict[str, Any]:
    """Return the arguments of ComfyUI's AutoencoderKL."""
    channels = {"in_channels": 3, "out_ch": 3, "z_channels": config.latent_channels, "double_z": True}
    levels = {
        "ch": config.channels[0],
        "ch_mult": channel_multipliers(config.channels),
        "num_res_blocks": config.blocks,
    }
    # no attention but in the middle, so the nominal resolution is never looked at
    attention = {"resolution": 256, "attn_resolutions": []}
    return {"ddconfig": {**channels, **levels, **attention}, "embed_dim": config.latent_channels}
