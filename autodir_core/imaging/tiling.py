"""Tiled inference: pictures that are too large for the memory go through a network in overlapping tiles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from .tile_sizes import DEFAULT_TILE_SIZE, MIN_TILE_SIZE

logger = logging.getLogger(__name__)

T = TypeVar("T")
Network = Callable[[Tensor], Tensor]

OVERLAP = 4
"""Neighbouring tiles overlap by at least one part in so many of a side: a quarter."""

PATCH = 8
"""Side of the patches that a picture's statistics are taken from, in steps of the network's grid."""

GLOBAL_MODULES = (nn.GroupNorm, nn.AdaptiveAvgPool2d)
"""The modules whose results depend on the whole picture, however large. Attention, which does too, is left alone."""


def run_tiled(network: Network, x: Tensor, tile_size: int | None, *, grid: int, module: nn.Module) -> Tensor:
    """Run `network` over overlapping tiles of `x` and cross-fade the results; what fits into one tile runs whole.

    Args:
        network: [B, C, h, w] to [B, D, s h, s w], with the same s for all sizes.
        x: [B, C, H, W].
        tile_size: side of the tiles in values of `x`, rounded up to a multiple of the grid; None runs the whole.
        grid: tiles start at its multiples: what the network divides its sides by.
        module: the part of the network whose norms and averages are to be those of the whole picture.
    """
    if tile_size is None or max(x.shape[-2:]) <= tile_size:
        return network(x)
    tile_size = -(-tile_size // grid) * grid
    columns = partial(run_bands, network, dim=-1, tile_size=tile_size, grid=grid)
    with global_statistics(module, lambda: network(sample_patches(x, tile_size, min(PATCH * grid, tile_size)))):
        return run_bands(columns, x, dim=-2, tile_size=tile_size, grid=grid)


def run_bands(network: Network, x: Tensor, *, dim: int, tile_size: int, grid: int) -> Tensor:
    """Run `network` over overlapping bands of `x` along one dimension, -1 or -2, and cross-fade the results."""
    size = x.shape[dim]
    bands = [
        (start, x.narrow(dim, start, min(tile_size, size - start))) for start in tile_starts(size, tile_size, grid)
    ]
    done = network(bands[0][1])
    scaled_size, tile_size = done.shape[dim], bands[0][1].shape[dim]
    for start, band in bands[1:]:
        done = cross_fade(done, network(band), start * scaled_size // tile_size, dim)
    return done


def tile_starts(size: int, tile_size: int, grid: int) -> list[int]:
    """Return where tiles start along a side: evenly spread; only the last may be smaller, by less than the grid."""
    last = -(-max(size - tile_size, 0) // grid) * grid
    steps = -(-last // (tile_size - tile_size // OVERLAP))
    return [round(i * last / steps / grid) * grid for i in range(steps)] + [last]


def cross_fade(first: Tensor, second: Tensor, start: int, dim: int) -> Tensor:
    """Join two parts: the second starts at `start` of the first, and up to the end of the first both are mixed."""
    overlap = first.shape[dim] - start
    before, end = first.split([start, overlap], dim)
    beginning, after = second.split([overlap, second.shape[dim] - overlap], dim)
    weight = (torch.arange(overlap, dtype=first.dtype, device=first.device) + 0.5) / overlap
    mixed = torch.lerp(end, beginning, weight if dim == -1 else weight[:, None])
    return torch.cat([before, mixed, after], dim)


def sample_patches(x: Tensor, side: int, patch: int) -> Tensor:
    """Return a sample of [B, C, H, W] with sides of `side` at most: patches from all over it, put together."""
    rows, columns = (patch_indices(size, side, patch).to(x.device) for size in x.shape[-2:])
    return x.index_select(-2, rows).index_select(-1, columns)


def patch_indices(size: int, side: int, patch: int) -> Tensor:
    """Return evenly spread runs of `patch` indices out of 0..size-1, `side` indices at most; all of a short side."""
    if size <= side:
        return torch.arange(size)
    begins = torch.linspace(0, size // patch - 1, side // patch).round().long() * patch
    return (begins[:, None] + torch.arange(patch)).flatten()


@contextmanager
def global_statistics(network: nn.Module, probe: Callable[[], object]) -> Iterator[None]:
    """Let norms and averages over the picture be, within the block, those that `network` computes during `probe`.

    Otherwise a tile of plain sky would be normalized by itself and come out with other colors and contrasts than the
    same sky next to a mountain.
    """
    modules = [module for module in network.modules() if isinstance(module, GLOBAL_MODULES)]
    results: dict[nn.Module, Network] = {}

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


def fixed_group_norm(norm: nn.GroupNorm, x: Tensor) -> Network:
    """Return the group norm with the mean and variance of `x` [B, C, ...], whatever it is applied to."""
    groups = x.float().unflatten(1, (norm.num_groups, -1)).flatten(2)
    variance, mean = (
        values.repeat_interleave(norm.num_channels // norm.num_groups, dim=1)
        for values in torch.var_mean(groups, dim=2, correction=0)
    )
    scale = (variance + norm.eps).rsqrt() * norm.weight
    scale, shift = (values.view(*values.shape, *[1] * (x.ndim - 2)) for values in (scale, norm.bias - mean * scale))
    return lambda y: torch.addcmul(shift, y.float(), scale).to(y.dtype)


def retry_smaller_tiles(call: Callable[[int | None], T], tile_size: int | None, side: int) -> T:
    """Return `call(tile_size)`; where the memory of a GPU runs out, try once more with smaller tiles.

    Args:
        call: what to do in tiles of so many pixels, None without tiles.
        tile_size: the first choice.
        side: of the picture in pixels, the longer one.
    """
    try:
        return call(tile_size)
    except torch.cuda.OutOfMemoryError:
        smaller = smaller_tile_size(min(tile_size or side, side))
    # outside the except block, which would keep what the first attempt has allocated
    logger.warning("the GPU's memory does not hold %d pixels a side: trying tiles of %d", side, smaller)
    torch.cuda.empty_cache()
    return call(smaller)


def smaller_tile_size(side: int) -> int:
    """Return the tile size to try after `side` was too large: `DEFAULT_TILE_SIZE`, else the half."""
    return DEFAULT_TILE_SIZE if side > DEFAULT_TILE_SIZE else max(side // 2, MIN_TILE_SIZE)
