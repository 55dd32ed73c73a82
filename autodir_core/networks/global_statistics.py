"""Norms and averages over a whole picture for a network that sees it tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

GLOBAL_MODULES = (nn.GroupNorm, nn.AdaptiveAvgPool2d)
"""The modules whose results depend on the whole picture, however large. Attention, which does too, is left alone."""

PATCH = 8
"""Side of the patches that a picture's statistics are taken from, in steps of the network's grid."""


def sample_patches(x: Tensor, dim: int, side: int, grid: int) -> Tensor:
    """Return a sample of `x` with sides of `side` at most: patches from all over it, put together.

    Args:
        x: a picture or latent.
        dim: of its height, which the width follows.
        side: of the sample.
        grid: patches start at its multiples.
    """
    patch = min(PATCH * grid, side)
    for axis in (dim, dim + 1):
        x = x.index_select(axis, patch_indices(x.shape[axis], side, patch).to(x.device))
    return x


def patch_indices(size: int, side: int, patch: int) -> Tensor:
    """Return evenly spread runs of `patch` indices out of 0..size-1, `side` indices at most; all of a short side."""
    if size <= side:
        return torch.arange(size)
    starts = torch.linspace(0, size // patch - 1, side // patch).round().long() * patch
    return (starts[:, None] + torch.arange(patch)).flatten()


@contextmanager
def global_statistics(network: nn.Module, probe: Callable[[], object]) -> Iterator[None]:
    """Let norms and averages over the picture be, within the block, those that `network` computes during `probe`.

    Otherwise a tile of plain sky would be normalized by itself and come out with other colors and contrasts than the
    same sky next to a mountain.
    """
    modules = [module for module in network.modules() if isinstance(module, GLOBAL_MODULES)]
    results: dict[nn.Module, Callable[[Tensor], Tensor]] = {}

    def remember(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        results[module] = fixed_group_norm(module, inputs[0]) if isinstance(module, nn.GroupNorm) else lambda x: output

    with forward_hooks(modules, remember):
        probe()
    with forward_hooks(modules, lambda module, inputs, output: results[module](inputs[0])):
        yield


@contextmanager
def forward_hooks(modules: Sequence[nn.Module], hook: Callable[..., Tensor | None]) -> Iterator[None]:
    """Register `hook` on the forward of every module within the block."""
    with ExitStack() as handles:
        for module in modules:
            handles.enter_context(module.register_forward_hook(hook))
        yield


def fixed_group_norm(norm: nn.GroupNorm, x: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the group norm with the mean and variance of `x` [B, C, ...], whatever it is applied to."""
    groups = x.float().unflatten(1, (norm.num_groups, -1)).flatten(2)
    variance, mean = (
        values.repeat_interleave(norm.num_channels // norm.num_groups, dim=1)
        for values in torch.var_mean(groups, dim=2, correction=0)
    )
    scale = (variance + norm.eps).rsqrt() * norm.weight
    scale, shift = (values.view(*values.shape, *[1] * (x.ndim - 2)) for values in (scale, norm.bias - mean * scale))
    return lambda y: torch.addcmul(shift, y.float(), scale).to(y.dtype)
