"""NAFNet (Chen et al., ECCV 2022) in the official layout: the network of the structure correction module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CACHE_VALUES, GPU_VALUES = 2**19, 2**25
"""Values of a band of rows that a block computes at once: what a processor's cache holds, 2 MB in float32; on a GPU,
which small bands leave idle, what bounds its memory."""


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of [B, C, H, W], biased variance, eps 1e-6."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        channels_last = x.permute(0, 2, 3, 1)
        return F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


def simple_gate(x: Tensor) -> Tensor:
    """Return the product of the two halves of the channels."""
    first, second = x.chunk(2, dim=1)
    return first * second


class NAFBlock(nn.Module):
    """Depthwise convolution with channel attention, then a gated 1x1 mixing; both residual with learnt gains."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.norm1 = LayerNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, wide, 1)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1))
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm2 = LayerNorm2d(channels)
        self.conv4 = nn.Conv2d(channels, wide, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            gated = self.spatial(x)
            return self.mix(x, gated, self.sca(gated))
        return self.forward_bands(x)

    def spatial(self, x: Tensor) -> Tensor:
        """Return the gated depthwise convolution, the only part that looks at neighbours."""
        return simple_gate(self.conv2(self.conv1(self.norm1(x))))

    def mix(self, x: Tensor, gated: Tensor, attention: Tensor) -> Tensor:
        """Return the block's result from its input, the convolution and the channel attention, pixel by pixel."""
        x = x + self.conv3(gated * attention) * self.beta
        return x + self.conv5(simple_gate(self.conv4(self.norm2(x)))) * self.gamma

    def forward_bands(self, x: Tensor) -> Tensor:
        """Return the same in bands of rows, whose intermediate results stay in a processor's cache; writes to `x`."""
        height = x.shape[-2]
        values = CACHE_VALUES if x.device.type == "cpu" else GPU_VALUES
        rows = max(values // (x.shape[1] * x.shape[-1]), 1)
        bands = [(start, min(start + rows, height)) for start in range(0, height, rows)]
        if len(bands) == 1:
            gated = self.spatial(x)
            return self.mix(x, gated, self.sca(gated))
        gated = torch.empty_like(x)
        for start, end in bands:
            above, below = max(start - 1, 0), min(end + 1, height)
            gated[..., start:end, :] = self.spatial(x[..., above:below, :])[..., start - above : end - above, :]
        attention = self.sca(gated)
        for start, end in bands:
            band = x[..., start:end, :]
            band.copy_(self.mix(band, gated[..., start:end, :], attention))
        return x


def stage(channels: int, blocks: int) -> nn.Sequential:
    """Return `blocks` NAFNet blocks of the same width."""
    return nn.Sequential(*(NAFBlock(channels) for _ in range(blocks)))


class NAFNet(nn.Module):
    """U-shaped NAFNet from the degraded and the generated picture to the corrected one.

    Args:
        width: channels at full resolution.
        encoder_blocks: blocks per encoder level; each level halves the resolution.
        middle_blocks: blocks at the lowest resolution.
        decoder_blocks: blocks per decoder level, lowest resolution first.
    """

    def __init__(
        self, width: int, encoder_blocks: tuple[int, ...], *, middle_blocks: int, decoder_blocks: tuple[int, ...]
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(len(encoder_blocks) + 1)]
        self.intro = nn.Conv2d(6, width, 3, padding=1)
        self.encoders = nn.ModuleList(stage(c, n) for c, n in zip(widths, encoder_blocks, strict=False))
        self.downs = nn.ModuleList(nn.Conv2d(c, 2 * c, 2, 2) for c in widths[:-1])
        self.middle_blks = stage(widths[-1], middle_blocks)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, 2 * c, 1, bias=False), nn.PixelShuffle(2)) for c in reversed(widths[1:])
        )
        self.decoders = nn.ModuleList(stage(c, n) for c, n in zip(reversed(widths[:-1]), decoder_blocks, strict=True))
        self.ending = nn.Conv2d(width, 3, 3, padding=1)

    @property
    def stride(self) -> int:
        """Pixels that the sides are padded to a multiple of."""
        return 2 ** len(self.encoders)

    def forward(self, degraded: Tensor, generated: Tensor) -> Tensor:
        """Return the corrected picture; all [B, 3, H, W] in -1..1, any size (zero padded inside)."""
        height, width = degraded.shape[-2:]
        x = torch.cat([degraded, generated], dim=1)
        x = F.pad(x, (0, -width % self.stride, 0, -height % self.stride))
        return self.residual(x)[..., :height, :width] + generated

    def residual(self, x: Tensor) -> Tensor:
        """Return what is added to the generated picture, for [B, 6, H, W] whose sides are multiples of the stride."""
        x = self.intro(x)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            skips.append(encoder(x))
            x = down(skips[-1])
        x = self.middle_blks(x)
        for up, decoder, skip in zip(self.ups, self.decoders, reversed(skips), strict=True):
            x = decoder(up(x) + skip)
        return self.ending(x)
