"""Linear starts: the autoencoder begins as the best linear codec, the diffusion as the best linear guess.

Group norms take the size out of what passes and SiLU bends it. Here values travel as pairs +x, -x beside constants of
a much larger size: the norm then divides by (nearly) a constant, and SiLU(x) - SiLU(-x) = x. Every residual branch
begins silent, so that the network is linear at first and learns what a linear codec cannot do.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ..images import to_network
from ..schedule import TIMESTEPS, alphas_cumprod
from .data import draw_batch
from .losses import noised

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
                nn.init.zeros_(conv.bias).requires_grad_(False)

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
def start_autoencoder(vae: nn.Module, scenes: np.ndarray, *, steps: int = 2000, seed: int = 0) -> None:
    """Fit a linear codec and lay it into a freshly built `AutoencoderKL` (group norms of at least four channels)."""
    encoder, decoder = vae.encoder, vae.decoder
    latent, stages = vae.post_quant_conv.weight.shape[0], len(encoder.down_blocks) - 1
    narrow = decoder.conv_norm_out.num_groups
    wide = decoder.up_blocks[-1].resnets[0].conv1.in_channels // 2
    rng = np.random.default_rng(seed)
    x = to_network(draw_batch(scenes, CROPS, rng, size=64, clean_share=0.6).degraded)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        codec = fit_codec(LinearCodec(latent, stages, narrow=narrow, wide=wide), x, steps=steps)
    x = x[:128]
    balance(codec, x)
    silence(vae)
    lay_encoder(encoder, codec, x)
    lay_decoder(decoder, codec, x)
    for conv in (vae.quant_conv, vae.post_quant_conv):
        conv.weight.copy_(torch.eye(len(conv.weight))[..., None, None])
        conv.bias.zero_()


def balance(codec: LinearCodec, x: Tensor) -> None:
    """Rescale latent channels half way to the same spread, and what enters the last convolution to spread 1.

    The fine detail of the latent is weak; noise of one strength on all channels would hide it to the very end.
    """
    spread = codec.encode(x).std(dim=(0, 2, 3))
    factor = spread.mean().sqrt() / spread.sqrt() / spread.mean()
    codec.down[-1].weight.mul_(factor.view(-1, 1, 1, 1))
    codec.enter.weight.div_(factor.view(1, -1, 1, 1))
    spread = codec.carry(codec.encode(x)).std(dim=(0, 2, 3))
    codec.up[-1].weight.div_(spread.view(-1, 1, 1, 1))
    codec.leave.weight.mul_(spread.view(1, -1, 1, 1))


def silence(network: nn.Module) -> None:
    """Let every residual branch begin at zero and every shortcut pass its input on."""
    for module in network.modules():
        if hasattr(module, "conv2"):
            module.conv2.weight.zero_()
            module.conv2.bias.zero_()
        if getattr(module, "conv_shortcut", None) is not None:
            shared = min(module.conv_shortcut.weight.shape[:2])
            module.conv_shortcut.weight[:shared] = torch.eye(*module.conv_shortcut.weight.shape[:2])[
                :shared, :, None, None
            ]
            module.conv_shortcut.bias.zero_()
        if hasattr(module, "to_out"):
            module.to_out[0].weight.zero_()
            module.to_out[0].bias.zero_()


def pass_on(shortcut: nn.Conv2d) -> None:
    """Let the first filters of a 1x1 convolution be the identity."""
    filters, channels = shortcut.weight.shape[:2]
    shared = min(filters, channels)
    shortcut.weight[:shared] = torch.eye(shared, channels)[..., None, None]
    shortcut.bias.zero_()


def lay_encoder(encoder: nn.Module, codec: LinearCodec, x: Tensor) -> None:
    encoder.conv_in.weight[:3] = 0
    encoder.conv_in.bias[:3] = 0
    encoder.conv_in.weight[range(3), range(3), 1, 1] = 1
    for block, conv in zip(encoder.down_blocks, codec.down, strict=False):
        lay(block.downsamplers[0].conv, conv)
    latent = codec.enter.weight.shape[1]
    pair_up(encoder.down_blocks[-1].resnets[0].conv_shortcut, encoder.conv_norm_out.num_groups, latent)
    unbend(encoder, x)
    leave = torch.zeros(latent, latent, 3, 3)
    leave[range(latent), range(latent), 1, 1] = 1
    encoder.conv_out.weight.zero_()
    encoder.conv_out.bias[latent:] = QUIET
    encoder.conv_out.bias[:latent] = 0
    take_pairs(encoder.conv_out, leave, encoder.conv_norm_out.num_groups)


def lay_decoder(decoder: nn.Module, codec: LinearCodec, x: Tensor) -> None:
    lay(decoder.conv_in, codec.enter)
    for block, conv in zip(decoder.up_blocks, codec.up, strict=False):
        lay(block.upsamplers[0].conv, conv)
    groups = decoder.conv_norm_out.num_groups
    pair_up(decoder.up_blocks[-1].resnets[0].conv_shortcut, groups, groups)
    unbend(decoder, codec.encode(x))
    decoder.conv_out.weight.zero_()
    decoder.conv_out.bias.zero_()
    take_pairs(decoder.conv_out, codec.leave.weight, groups)


def lay(conv: nn.Conv2d, linear: nn.Conv2d) -> None:
    """Copy a convolution of the codec into the first filters of a wider one."""
    filters, channels = linear.weight.shape[:2]
    conv.weight[:filters] = 0
    conv.bias[:filters] = 0
    conv.weight[:filters, :channels] = linear.weight


def pair_up(shortcut: nn.Conv2d, groups: int, count: int) -> None:
    """Let a 1x1 convolution give +x, -x, a constant and its negative as the first channels of a norm's groups."""
    first = torch.arange(count) * (shortcut.weight.shape[0] // groups)
    for offset, sign in ((0, 1.0), (1, -1.0)):
        shortcut.weight[first + offset] = 0
        shortcut.weight[first + offset, torch.arange(count)] = sign
        shortcut.weight[first + offset + 2] = 0
        shortcut.bias[first + offset + 2] = sign * CONSTANT


def unbend(coder: nn.Module, x: Tensor) -> None:
    """Set the gains of the last norm so that what it divides by comes back."""
    seen = []
    hook = coder.conv_norm_out.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    coder(x)
    hook.remove()
    norm = coder.conv_norm_out
    spread = seen[0].unflatten(1, (norm.num_groups, -1)).std(dim=(2, 3, 4)).mean(dim=0)
    norm.weight.copy_(spread.repeat_interleave(len(norm.weight) // norm.num_groups))
    norm.bias.zero_()


def take_pairs(conv: nn.Conv2d, filters: Tensor, groups: int) -> None:
    """Let a convolution read x = SiLU(x) - SiLU(-x) with the given filters [N, count, 3, 3]."""
    outputs, count = filters.shape[:2]
    first = torch.arange(count) * (conv.weight.shape[1] // groups)
    conv.weight[:outputs, first] = filters
    conv.weight[:outputs, first + 1] = -filters


@torch.no_grad()
def start_diffusion(unet: nn.Module, vae: nn.Module, scenes: np.ndarray, *, scale: float, seed: int = 0) -> None:
    """Let a freshly built UNet begin with the noise that fits best among all a x - b c, constant over the timesteps.

    x is the noised latent and c the latent of the degraded picture. At high noise the answer is nearly x itself, to a
    precision that group norms do not let through; from this start it is there, and the network learns the rest.
    """
    latent, groups = vae.post_quant_conv.weight.shape[0], unet.conv_norm_out.num_groups
    silence(unet)
    unet.conv_in.weight[: 2 * latent] = 0
    unet.conv_in.bias[: 2 * latent] = 0
    for channel in range(2 * latent):
        unet.conv_in.weight[channel, channel, 1, 1] = 1.0 if channel < latent else scale
    shortcut = unet.up_blocks[-1].resnets[-1].conv_shortcut
    hidden = shortcut.weight.shape[1] - unet.conv_in.weight.shape[0]
    size, first = shortcut.weight.shape[0] // groups, torch.arange(latent) * (shortcut.weight.shape[0] // groups)
    if latent > groups or size < 6:
        raise ValueError(f"a linear start needs {latent} norm groups of six channels, not {groups} of {size}")
    shortcut.bias.zero_()
    for offset, sign in ((0, 1.0), (1, -1.0)):
        for source in range(2):
            row = first + offset + 2 * source
            shortcut.weight[row] = 0
            shortcut.weight[row, hidden + source * latent + torch.arange(latent)] = sign
        shortcut.weight[first + offset + 4] = 0
        shortcut.bias[first + offset + 4] = sign * CONSTANT
    spread = (2 * (2 + CONSTANT**2) / size) ** 0.5
    unet.conv_norm_out.weight.fill_(spread)
    unet.conv_norm_out.bias.zero_()
    a, b = linear_guess(vae, scenes, scale, seed)
    unet.conv_out.weight.zero_()
    unet.conv_out.bias.zero_()
    for source, gain in ((0, a), (2, -b)):
        for offset, sign in ((0, 1.0), (1, -1.0)):
            unet.conv_out.weight[range(latent), first + source + offset, 1, 1] = sign * gain


def linear_guess(vae: nn.Module, scenes: np.ndarray, scale: float, seed: int) -> tuple[float, float]:
    """a and b of the noise that a x - b c predicts best over all timesteps."""
    batch = draw_batch(scenes, 64, np.random.default_rng(seed), size=64, clean_share=0.05)
    target, c = (vae.encode(to_network(x)).latent_dist.mode() * scale for x in (batch.clean, batch.degraded))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(target.shape, generator=generator)
    signal = alphas_cumprod()[torch.randint(0, TIMESTEPS, (len(target),), generator=generator)]
    x = noised(target, noise, signal)
    solved = torch.linalg.lstsq(torch.stack([x.flatten(), -c.flatten()], dim=1), noise.flatten()[:, None]).solution
    return solved[0].item(), solved[1].item()
