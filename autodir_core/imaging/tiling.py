"""Pictures that are too large for the memory go through a network in overlapping squares."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from .tile_sizes import MIN_TILE, TILE

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Network = Callable[[Tensor], Tensor]

OVERLAP = 4
"""Neighbours share at least this part of a side: a quarter."""

PATCH = 8
"""Side of the patches that a picture's statistics are taken from, in steps of the network's grid."""

GLOBAL = (nn.GroupNorm, nn.AdaptiveAvgPool2d)
"""The modules whose results depend on the whole picture, however large. Attention, which does too, is left alone."""


def in_tiles(network: Network, x: Tensor, tile: int | None, *, grid: int, module: nn.Module) -> Tensor:
    """`network` over overlapping squares of `x` that fade into each other; what is no larger goes through whole.

    Args:
        network: [B, C, h, w] to [B, D, s h, s w], with the same s for all sizes.
        x: [B, C, H, W].
        tile: side of the squares in values of `x`, rounded up to a multiple of the grid; None goes through whole.
        grid: squares begin at its multiples: what the network divides its sides by.
        module: the part of the network whose norms and averages shall be those of the whole picture.
    """
    if tile is None or max(x.shape[-2:]) <= tile:
        return network(x)
    tile = -(-tile // grid) * grid
    columns = partial(in_bands, network, dim=-1, tile=tile, grid=grid)
    with shared_statistics(module, lambda: network(mosaic(x, tile, min(PATCH * grid, tile)))):
        return in_bands(columns, x, dim=-2, tile=tile, grid=grid)


def in_bands(network: Network, x: Tensor, *, dim: int, tile: int, grid: int) -> Tensor:
    """`network` over overlapping bands of `x` along one dimension, -1 or -2, that fade into each other."""
    size = x.shape[dim]
    bands = [(start, x.narrow(dim, start, min(tile, size - start))) for start in starts(size, tile, grid)]
    done = network(bands[0][1])
    grown, tile = done.shape[dim], bands[0][1].shape[dim]
    for start, band in bands[1:]:
        done = faded(done, network(band), start * grown // tile, dim)
    return done


def starts(size: int, tile: int, grid: int) -> list[int]:
    """Where the bands begin: evenly spread; only the last may be smaller, by less than the grid."""
    last = -(-max(size - tile, 0) // grid) * grid
    steps = -(-last // (tile - tile // OVERLAP))
    return [round(i * last / steps / grid) * grid for i in range(steps)] + [last]


def faded(first: Tensor, second: Tensor, start: int, dim: int) -> Tensor:
    """Two pieces as one: the second begins at `start` of the first, and up to the first's end both are mixed."""
    shared = first.shape[dim] - start
    before, end = first.split([start, shared], dim)
    beginning, after = second.split([shared, second.shape[dim] - shared], dim)
    share = (torch.arange(shared, dtype=first.dtype, device=first.device) + 0.5) / shared
    mixed = torch.lerp(end, beginning, share if dim == -1 else share[:, None])
    return torch.cat([before, mixed, after], dim)


def mosaic(x: Tensor, side: int, patch: int) -> Tensor:
    """A sample of [B, C, H, W] with sides of `side` at most: patches from all over it, put together."""
    rows, columns = (sampled(size, side, patch).to(x.device) for size in x.shape[-2:])
    return x.index_select(-2, rows).index_select(-1, columns)


def sampled(size: int, side: int, patch: int) -> Tensor:
    """Evenly spread runs of `patch` indices out of 0..size-1, `side` indices at most; all where they are no more."""
    if size <= side:
        return torch.arange(size)
    begins = torch.linspace(0, size // patch - 1, side // patch).round().long() * patch
    return (begins[:, None] + torch.arange(patch)).flatten()


@contextmanager
def shared_statistics(network: nn.Module, look: Callable[[], object]) -> Iterator[None]:
    """Within, norms and averages over the picture are those that `network` meets while it takes a `look`.

    Without it, a square of plain sky would be normalized by itself and come out with other colours and contrasts than
    the same sky beside a mountain.
    """
    modules = [module for module in network.modules() if isinstance(module, GLOBAL)]
    results: dict[nn.Module, Network] = {}

    def remember(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        results[module] = norm_of(module, inputs[0]) if isinstance(module, nn.GroupNorm) else lambda x: output

    with hooked(modules, remember):
        look()
    with hooked(modules, lambda module, inputs, output: results[module](inputs[0])):
        yield


@contextmanager
def hooked(modules: Sequence[nn.Module], hook: Callable[..., Tensor | None]) -> Iterator[None]:
    """Within, the forward of every module ends in `hook`."""
    with ExitStack() as handles:
        for module in modules:
            handles.enter_context(module.register_forward_hook(hook))
        yield


def norm_of(norm: nn.GroupNorm, x: Tensor) -> Network:
    """The group norm with the mean and variance of `x` [B, C, ...], for whatever it is applied to."""
    groups = x.float().unflatten(1, (norm.num_groups, -1)).flatten(2)
    variance, mean = (
        values.repeat_interleave(norm.num_channels // norm.num_groups, dim=1)
        for values in torch.var_mean(groups, dim=2, correction=0)
    )
    scale = (variance + norm.eps).rsqrt() * norm.weight
    scale, shift = (values.view(*values.shape, *[1] * (x.ndim - 2)) for values in (scale, norm.bias - mean * scale))
    return lambda y: torch.addcmul(shift, y.float(), scale).to(y.dtype)


def with_room(call: Callable[[int | None], Result], tile: int | None, side: int) -> Result:
    """`call(tile)`; where the memory of a GPU runs out, once more with a smaller tile.

    Args:
        call: what to do in squares of so many pixels, None in one go.
        tile: the first choice.
        side: of the picture in pixels, the longer one.
    """
    try:
        return call(tile)
    except torch.cuda.OutOfMemoryError:
        smaller = smaller_tile(min(tile or side, side))
    # outside the except block, which would keep what the first attempt has allocated
    logger.warning("the GPU's memory does not hold %d pixels a side: trying squares of %d", side, smaller)
    torch.cuda.empty_cache()
    return call(smaller)


def smaller_tile(side: int) -> int:
    """Side of the squares to try after `side` was too large: `TILE`, else the half."""
    return TILE if side > TILE else max(side // 2, MIN_TILE)
