"""Linear starts: the autoencoder begins as the best linear codec, the diffusion as the best linear guess.

Group norms take the size out of what passes and SiLU bends it. Here values travel as pairs +x, -x beside constants of
a much larger size: the norm then divides by (nearly) a constant, and SiLU(x) - SiLU(-x) = x. Every residual branch
begins silent, so that the network is linear at first and learns what a linear codec cannot do.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from autodir_core.diffusion.schedule import TIMESTEPS, alphas_cumprod
from autodir_core.imaging.layout import to_network
from autodir_core.networks.build import part
from autodir_core.stages.autoencoder import encode_mode

from ..data.crops import Crops, Data, draw_batch
from ..data.microbatch import full_batch
from ..objectives.losses import noised

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.vae import Decoder, Encoder
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

CONSTANT = 10.0
"""Size of the constants, in standard deviations of the values that travel beside them."""

CROPS = 1200
"""Crops that the linear codec is fitted to."""

LEARNING_RATE = 3e-3
"""Three times as much and the fit is five decibels worse."""

QUIET = -6.0
"""The log variance that the latent begins with."""


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
        self.enter = nn.Conv2d(latent, wide, 3, padding=1)
        up = [wide] * stages + [narrow]
        self.up = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(up))
        self.leave = nn.Conv2d(narrow, 3, 3, padding=1)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.zeros_(conv.get_parameter("bias")).requires_grad_(False)

    def encode(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] to [B, C, h, w]."""
        for conv in self.down:
            x = conv(nn.functional.pad(x, (0, 1, 0, 1)))
        return x

    def carry(self, z: Tensor) -> Tensor:
        """[B, C, h, w] to what enters the last convolution [B, narrow, H, W]."""
        z = self.enter(z)
        for conv in self.up:
            z = conv(nn.functional.interpolate(z, scale_factor=2.0))
        return z

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(self.carry(self.encode(x)))


def fit_codec(codec: LinearCodec, crops: Tensor, *, steps: int, batch: int = 8) -> LinearCodec:
    """Fit a linear codec to crops [N, 3, S, S] (mean squared error)."""
    optimizer = torch.optim.Adam(codec.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        x = crops[torch.randint(len(crops), (batch,))]
        loss = nn.functional.mse_loss(codec(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return codec.requires_grad_(False)


@torch.no_grad()
def start_autoencoder(vae: AutoencoderKL, data: Data, *, steps: int = 2000, seed: int = 0) -> None:
    """Fit a linear codec and lay it into a freshly built autoencoder (group norms of at least four channels)."""
    encoder, decoder = vae.encoder, vae.decoder
    latent, stages = len(vae.get_parameter("post_quant_conv.weight")), len(encoder.down_blocks) - 1
    narrow = last_norm(decoder).num_groups
    wide = part(decoder.up_blocks[-1], "resnets.0.conv1", nn.Conv2d).in_channels // 2
    x = to_network(draw_batch(data, full_batch(seed, CROPS), Crops(64, clean_share=0.6)).degraded).to(vae.device)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        codec = fit_codec(LinearCodec(latent, stages, narrow=narrow, wide=wide).to(x.device), x, steps=steps)
    x = x[:128]
    balance(codec, x)
    silence(vae)
    lay_encoder(encoder, codec, x)
    lay_decoder(decoder, codec, x)
    pass_on(vae.get_submodule("quant_conv"))
    pass_on(vae.get_submodule("post_quant_conv"))


def balance(codec: LinearCodec, x: Tensor) -> None:
    """Rescale latent channels half way to the same spread, and what enters the last convolution to spread 1.

    The fine detail of the latent is weak; noise of one strength on all channels would hide it to the very end.
    """
    spread = codec.encode(x).std(dim=(0, 2, 3))
    factor = spread.mean().sqrt() / spread.sqrt() / spread.mean()
    codec.down[-1].get_parameter("weight").mul_(factor.view(-1, 1, 1, 1))
    codec.enter.weight.div_(factor.view(1, -1, 1, 1))
    spread = codec.carry(codec.encode(x)).std(dim=(0, 2, 3))
    codec.up[-1].get_parameter("weight").div_(spread.view(-1, 1, 1, 1))
    codec.leave.weight.mul_(spread.view(1, -1, 1, 1))


def silence(network: nn.Module) -> None:
    """Let every residual branch begin at zero and every shortcut pass its input on."""
    for name, layer in network.named_modules():
        if name.endswith((".conv2", ".to_out.0")):
            clear(layer)
        elif name.endswith(".conv_shortcut"):
            pass_on(layer)


def clear(layer: nn.Module) -> None:
    """Let a layer give zeros."""
    for parameter in layer.parameters():
        parameter.zero_()


def pass_on(shortcut: nn.Module) -> None:
    """Let the first filters of a 1x1 convolution be the identity."""
    weight, bias = weights(shortcut)
    filters, channels = weight.shape[:2]
    shared = min(filters, channels)
    weight[:shared] = torch.eye(shared, channels)[..., None, None]
    bias.zero_()


def weights(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """The weight and the bias of a layer that has both."""
    return layer.get_parameter("weight"), layer.get_parameter("bias")


def last_norm(network: nn.Module) -> nn.GroupNorm:
    """The norm before the last convolution of a coder or UNet."""
    return part(network, "conv_norm_out", nn.GroupNorm)


def lay_encoder(encoder: Encoder, codec: LinearCodec, x: Tensor) -> None:
    weight, bias = weights(encoder.conv_in)
    weight[:3] = 0
    bias[:3] = 0
    weight[range(3), range(3), 1, 1] = 1
    for block, conv in zip(encoder.down_blocks, codec.down, strict=False):
        lay(block.get_submodule("downsamplers.0.conv"), conv)
    latent, groups = codec.enter.weight.shape[1], last_norm(encoder).num_groups
    shortcut = encoder.down_blocks[-1].get_submodule("resnets.0.conv_shortcut")
    pair_up(shortcut, groups, latent)
    set_constants(shortcut, groups, latent, offset=2)
    unbend(encoder, x)
    leave = torch.zeros(latent, latent, 3, 3)
    leave[range(latent), range(latent), 1, 1] = 1
    clear(encoder.conv_out)
    encoder.get_parameter("conv_out.bias")[latent:] = QUIET
    take_pairs(encoder.conv_out, leave, groups)


def lay_decoder(decoder: Decoder, codec: LinearCodec, x: Tensor) -> None:
    lay(decoder.conv_in, codec.enter)
    for block, conv in zip(decoder.up_blocks, codec.up, strict=False):
        lay(block.get_submodule("upsamplers.0.conv"), conv)
    groups = last_norm(decoder).num_groups
    shortcut = decoder.up_blocks[-1].get_submodule("resnets.0.conv_shortcut")
    pair_up(shortcut, groups, groups)
    set_constants(shortcut, groups, groups, offset=2)
    unbend(decoder, codec.encode(x))
    clear(decoder.conv_out)
    take_pairs(decoder.conv_out, codec.leave.weight, groups)


def lay(conv: nn.Module, linear: nn.Module) -> None:
    """Copy a convolution of the codec into the first filters of a wider one."""
    (weight, bias), source = weights(conv), linear.get_parameter("weight")
    filters, channels = source.shape[:2]
    weight[:filters] = 0
    bias[:filters] = 0
    weight[:filters, :channels] = source


def pair_up(shortcut: nn.Module, groups: int, count: int, *, columns: int = 0, offset: int = 0) -> None:
    """Let a 1x1 convolution give +x and -x of its inputs from `columns` on, one pair per group of the norm."""
    weight, bias = weights(shortcut)
    rows = firsts(len(weight), groups, count) + offset
    for row, sign in ((rows, 1.0), (rows + 1, -1.0)):
        weight[row] = 0
        bias[row] = 0
        weight[row, columns + torch.arange(count)] = sign


def set_constants(shortcut: nn.Module, groups: int, count: int, *, offset: int) -> None:
    """Let a 1x1 convolution give a constant and its negative in each of the norm's first groups."""
    weight, bias = weights(shortcut)
    rows = firsts(len(weight), groups, count) + offset
    for row, sign in ((rows, 1.0), (rows + 1, -1.0)):
        weight[row] = 0
        bias[row] = sign * CONSTANT


def firsts(channels: int, groups: int, count: int) -> Tensor:
    """The first channel of each of the norm's first `count` groups."""
    return torch.arange(count) * (channels // groups)


def unbend(coder: nn.Module, x: Tensor) -> None:
    """Set the gains of the last norm so that what it divides by comes back."""
    norm = last_norm(coder)
    seen: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    coder(x)
    hook.remove()
    spread = seen[0].unflatten(1, (norm.num_groups, -1)).std(dim=(2, 3, 4)).mean(dim=0)
    norm.weight.copy_(spread.repeat_interleave(len(norm.weight) // norm.num_groups))
    norm.bias.zero_()


def take_pairs(conv: nn.Conv2d, filters: Tensor, groups: int, *, offset: int = 0) -> None:
    """Let a convolution read x = SiLU(x) - SiLU(-x) with the given filters [N, count, 3, 3]."""
    outputs, count = filters.shape[:2]
    first = firsts(conv.weight.shape[1], groups, count) + offset
    conv.weight[:outputs, first] = filters
    conv.weight[:outputs, first + 1] = -filters


@torch.no_grad()
def start_diffusion(unet: UNet2DConditionModel, vae: AutoencoderKL, data: Data, *, scale: float, seed: int = 0) -> None:
    """Let a freshly built UNet begin with the noise that fits best among all a x - b c, constant over the timesteps.

    x is the noised latent and c the latent of the degraded picture. At high noise the answer is nearly x itself, to a
    precision that group norms do not let through; from this start it is there, and the network learns the rest.
    """
    latent, norm = len(vae.get_parameter("post_quant_conv.weight")), last_norm(unet)
    groups = norm.num_groups
    if groups < latent or norm.num_channels < 6 * groups:
        raise ValueError(f"a linear start needs {latent} norm groups of six channels, got {groups} groups")
    silence(unet)
    weight, bias = weights(unet.conv_in)
    weight[: 2 * latent] = 0
    bias[: 2 * latent] = 0
    # the degraded picture's latent comes unscaled
    gains = torch.tensor([1.0, scale]).repeat_interleave(latent)
    weight[range(2 * latent), range(2 * latent), 1, 1] = gains
    shortcut = part(part(unet.up_blocks[-1], "resnets", nn.ModuleList)[-1], "conv_shortcut", nn.Conv2d)
    hidden = shortcut.in_channels - unet.conv_in.out_channels
    for source in range(2):
        pair_up(shortcut, groups, latent, columns=hidden + source * latent, offset=2 * source)
    set_constants(shortcut, groups, latent, offset=4)
    norm.weight.fill_((2 * (2 + CONSTANT**2) * groups / norm.num_channels) ** 0.5)
    norm.bias.zero_()
    clear(unet.conv_out)
    centre = torch.zeros(latent, latent, 3, 3)
    centre[range(latent), range(latent), 1, 1] = 1
    a, b = linear_guess(vae, data, scale, seed)
    take_pairs(unet.conv_out, a * centre, groups)
    take_pairs(unet.conv_out, -b * centre, groups, offset=2)


def linear_guess(vae: AutoencoderKL, data: Data, scale: float, seed: int) -> tuple[float, float]:
    """a and b of the noise that a x - b c predicts best over all timesteps."""
    batch = draw_batch(data, full_batch(seed, 64), Crops(64, clean_share=0.05)).to(vae.device)
    target, c = (encode_mode(vae, to_network(x)) * scale for x in (batch.clean, batch.degraded))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(target.shape, generator=generator).to(target)
    signal = alphas_cumprod()[torch.randint(0, TIMESTEPS, (len(target),), generator=generator)].to(target)
    x = noised(target, noise, signal)
    solved = torch.linalg.lstsq(torch.stack([x.flatten(), -c.flatten()], dim=1), noise.flatten()[:, None]).solution
    return solved[0].item(), solved[1].item()
