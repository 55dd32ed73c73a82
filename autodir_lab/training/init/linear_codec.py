"""Initialize the autoencoder as the best linear codec (see `signed_pairs`)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from autodir_core.imaging.layout import to_network
from autodir_core.networks.build import submodule

from ..data.crops import CropConfig
from ..data.dataset import PairDataset, full_batch
from ..data.sources import TrainingData
from . import signed_pairs

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.vae import Decoder, Encoder

CROPS = 1200
"""Crops that the linear codec is fitted to."""

LEARNING_RATE = 3e-3
"""Three times as much and the fit is five decibels worse."""

INITIAL_LOG_VARIANCE = -6.0
"""Of the latent."""


class LinearCodec(nn.Module):
    """The convolutions of an autoencoder with everything between them left out.

    Args:
        latent: channels of the latent.
        stages: halvings of the side.
        narrow: channels that enter the last convolution.
        wide: channels of the decoder before that.
    """

    def __init__(self, latent: int, stages: int, *, narrow: int, wide: int) -> None:
        super().__init__()
        down = [min(3 * 4 ** (stage + 1), wide) for stage in range(stages - 1)]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2) for a, b in pairwise([3, *down, latent]))
        self.conv_in = nn.Conv2d(latent, wide, 3, padding=1)
        up = [wide] * stages + [narrow]
        self.up = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(up))
        self.conv_out = nn.Conv2d(narrow, 3, 3, padding=1)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.zeros_(conv.get_parameter("bias")).requires_grad_(False)

    def encode(self, x: Tensor) -> Tensor:
        """Map [B, 3, H, W] to the latent [B, C, h, w]."""
        for conv in self.down:
            x = conv(nn.functional.pad(x, (0, 1, 0, 1)))
        return x

    def decode_features(self, z: Tensor) -> Tensor:
        """Map the latent [B, C, h, w] to what enters the last convolution, [B, narrow, H, W]."""
        z = self.conv_in(z)
        for conv in self.up:
            z = conv(nn.functional.interpolate(z, scale_factor=2.0))
        return z

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.decode_features(self.encode(x)))


def fit_codec(codec: LinearCodec, crops: Tensor, *, steps: int) -> LinearCodec:
    """Fit a linear codec to crops [N, 3, S, S] (mean squared error)."""
    optimizer = torch.optim.Adam(codec.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        x = crops[torch.randint(len(crops), (8,))]
        loss = nn.functional.mse_loss(codec(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return codec.requires_grad_(False)


@torch.no_grad()
def init_linear_codec(vae: AutoencoderKL, data: TrainingData, *, steps: int = 2000, seed: int = 0) -> None:
    """Fit a linear codec and copy it into a freshly built autoencoder (group norms of at least four channels)."""
    encoder, decoder = vae.encoder, vae.decoder
    latent, stages = len(vae.get_parameter("post_quant_conv.weight")), len(encoder.down_blocks) - 1
    narrow = signed_pairs.last_norm(decoder).num_groups
    wide = submodule(decoder.up_blocks[-1], "resnets.0.conv1", nn.Conv2d).in_channels // 2
    batch = PairDataset(data, CropConfig(64, clean_fraction=0.6))[full_batch(seed, CROPS)]
    x = to_network(batch.degraded).to(vae.device)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        codec = fit_codec(LinearCodec(latent, stages, narrow=narrow, wide=wide).to(x.device), x, steps=steps)
    x = x[:128]
    balance_channels(codec, x)
    signed_pairs.zero_residual_branches(vae)
    init_encoder(encoder, codec, x)
    init_decoder(decoder, codec, x)
    signed_pairs.init_identity(vae.get_submodule("quant_conv"))
    signed_pairs.init_identity(vae.get_submodule("post_quant_conv"))


def balance_channels(codec: LinearCodec, x: Tensor) -> None:
    """Rescale latent channels half way to the same spread, and what enters the last convolution to spread 1.

    The fine detail of the latent is weak; noise of one strength on all channels would hide it to the very end.
    """
    std = codec.encode(x).std(dim=(0, 2, 3))
    factor = std.mean().sqrt() / std.sqrt() / std.mean()
    codec.down[-1].get_parameter("weight").mul_(factor.view(-1, 1, 1, 1))
    codec.conv_in.weight.div_(factor.view(1, -1, 1, 1))
    std = codec.decode_features(codec.encode(x)).std(dim=(0, 2, 3))
    codec.up[-1].get_parameter("weight").div_(std.view(-1, 1, 1, 1))
    codec.conv_out.weight.mul_(std.view(1, -1, 1, 1))


def init_encoder(encoder: Encoder, codec: LinearCodec, x: Tensor) -> None:
    """Copy the codec's encoder; images [B, 3, H, W] calibrate the last norm."""
    weight, bias = signed_pairs.weight_and_bias(encoder.conv_in)
    nn.init.dirac_(weight[:3])
    bias[:3] = 0
    for block, conv in zip(encoder.down_blocks, codec.down, strict=False):
        copy_filters(conv, block.get_submodule("downsamplers.0.conv"))
    latent, groups = codec.conv_in.weight.shape[1], signed_pairs.last_norm(encoder).num_groups
    shortcut = encoder.down_blocks[-1].get_submodule("resnets.0.conv_shortcut")
    signed_pairs.write_pairs(shortcut, groups, latent)
    signed_pairs.write_constants(shortcut, groups, latent, offset=2)
    calibrate_norm(encoder, x)
    signed_pairs.zero_parameters(encoder.conv_out)
    encoder.get_parameter("conv_out.bias")[latent:] = INITIAL_LOG_VARIANCE
    signed_pairs.read_pairs(encoder.conv_out, nn.init.dirac_(torch.empty(latent, latent, 3, 3)), groups)


def init_decoder(decoder: Decoder, codec: LinearCodec, x: Tensor) -> None:
    """Copy the codec's decoder; images [B, 3, H, W] calibrate the last norm."""
    copy_filters(codec.conv_in, decoder.conv_in)
    for block, conv in zip(decoder.up_blocks, codec.up, strict=False):
        copy_filters(conv, block.get_submodule("upsamplers.0.conv"))
    groups = signed_pairs.last_norm(decoder).num_groups
    shortcut = decoder.up_blocks[-1].get_submodule("resnets.0.conv_shortcut")
    signed_pairs.write_pairs(shortcut, groups, groups)
    signed_pairs.write_constants(shortcut, groups, groups, offset=2)
    calibrate_norm(decoder, codec.encode(x))
    signed_pairs.zero_parameters(decoder.conv_out)
    signed_pairs.read_pairs(decoder.conv_out, codec.conv_out.weight, groups)


def copy_filters(source: nn.Module, target: nn.Module) -> None:
    """Copy a convolution into the first filters of a wider one."""
    filters, (weight, bias) = source.get_parameter("weight"), signed_pairs.weight_and_bias(target)
    outputs, inputs = filters.shape[:2]
    weight[:outputs] = 0
    bias[:outputs] = 0
    weight[:outputs, :inputs] = filters


def calibrate_norm(coder: nn.Module, x: Tensor) -> None:
    """Set the gains of the last norm to what it divides by on the inputs of an encoder or decoder."""
    norm = signed_pairs.last_norm(coder)
    inputs: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    coder(x)
    hook.remove()
    std = inputs[0].unflatten(1, (norm.num_groups, -1)).std(dim=(2, 3, 4)).mean(dim=0)
    norm.weight.copy_(std.repeat_interleave(len(norm.weight) // norm.num_groups))
    norm.bias.zero_()
