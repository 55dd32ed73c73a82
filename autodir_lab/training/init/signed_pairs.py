"""Signed pairs: how a network with group norms and SiLU can be linear.

Group norms take the size out of what passes and SiLU bends it. Here values travel as pairs +x, -x next to constants of
a much larger size: the norm then divides by (nearly) a constant, and SiLU(x) - SiLU(-x) = x. Every residual branch is
zero, so that the network is linear at first and learns what a linear map cannot do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autodir_core.networks.build import submodule

CONSTANT = 10.0
"""Size of the constants, in standard deviations of the values that travel next to them."""


def zero_residual_branches(network: nn.Module) -> None:
    """Let every residual branch add zero and every shortcut pass its input on."""
    for name, layer in network.named_modules():
        if name.endswith((".conv2", ".to_out.0")):
            zero_parameters(layer)
        elif name.endswith(".conv_shortcut"):
            init_identity(layer)


def zero_parameters(layer: nn.Module) -> None:
    """Let a layer return zeros."""
    for parameter in layer.parameters():
        parameter.zero_()


def init_identity(conv: nn.Module) -> None:
    """Let the first filters of a 1x1 convolution be the identity."""
    weight, bias = weight_and_bias(conv)
    nn.init.dirac_(weight[: weight.shape[1]])
    bias.zero_()


def write_pairs(conv: nn.Module, groups: int, count: int, *, columns: int = 0, offset: int = 0) -> None:
    """Let a 1x1 convolution return +x and -x of its inputs from `columns` on, one pair per group of the norm."""
    weight, bias = weight_and_bias(conv)
    rows = first_channels(len(weight), groups, count) + offset
    for row, sign in ((rows, 1.0), (rows + 1, -1.0)):
        weight[row] = 0
        bias[row] = 0
        weight[row, columns + torch.arange(count)] = sign


def write_constants(conv: nn.Module, groups: int, count: int, *, offset: int) -> None:
    """Let a 1x1 convolution return a constant and its negative in each of the norm's first groups."""
    weight, bias = weight_and_bias(conv)
    rows = first_channels(len(weight), groups, count) + offset
    for row, sign in ((rows, 1.0), (rows + 1, -1.0)):
        weight[row] = 0
        bias[row] = sign * CONSTANT


def read_pairs(conv: nn.Conv2d, filters: Tensor, groups: int, *, offset: int = 0) -> None:
    """Let a convolution apply filters [N, count, 3, 3] to x = SiLU(x) - SiLU(-x)."""
    outputs, count = filters.shape[:2]
    first = first_channels(conv.weight.shape[1], groups, count) + offset
    conv.weight[:outputs, first] = filters
    conv.weight[:outputs, first + 1] = -filters


def first_channels(channels: int, groups: int, count: int) -> Tensor:
    """Return the first channel of each of a norm's first `count` groups."""
    return torch.arange(count) * (channels // groups)


def weight_and_bias(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the parameters of a layer that has both."""
    return layer.get_parameter("weight"), layer.get_parameter("bias")


def last_norm(network: nn.Module) -> nn.GroupNorm:
    """Return the norm before the last convolution of an encoder, decoder or UNet."""
    return submodule(network, "conv_norm_out", nn.GroupNorm)
