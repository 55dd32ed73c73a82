"""Tiled inference: overlapping tiles go through a network one by one and are blended with smooth windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..outputs import OnTile, ignore_tile
from .sizes import MIN_OVERLAP, OVERLAP

PICTURE, LATENT = 1, 2
"""The dimension of the height, which the width follows: of pictures [B, H, W, C] and of latents [B, C, h, w]."""


@dataclass(frozen=True)
class Span:
    """Where a tile lies along one side, and where its neighbours fade in and out.

    Attributes:
        start, end: of the tile.
        fade_in, fade_out: (from, to), where it replaces the tile before and is replaced by the one after; None at the
            borders of the picture.
    """

    start: int
    end: int
    fade_in: tuple[float, float] | None
    fade_out: tuple[float, float] | None

    def window(self, scale: float) -> Tensor:
        """Return the weights of a result that has `scale` values for each of the tile; those of all tiles sum to 1."""
        count = round((self.end - self.start) * scale)
        places = self.start + (torch.arange(count, dtype=torch.float64) + 0.5) / scale
        weights = torch.ones_like(places) if self.fade_in is None else rise(places, *self.fade_in)
        return (weights if self.fade_out is None else weights - rise(places, *self.fade_out)).float()


def rise(places: Tensor, start: float, end: float) -> Tensor:
    """Return 0 before `start`, 1 after `end` and half a period of a cosine between."""
    return (1 - (((places - start) / (end - start)).clamp(0, 1) * math.pi).cos()) / 2


def plan_spans(size: int, tile_size: int, *, overlap: int, grid: int) -> list[Span]:
    """Return the tiles along a side: as few as possible, of one size, no larger than needed.

    Args:
        size: of the side.
        tile_size: of a tile at most, a multiple of the grid.
        overlap: of neighbors at least, a multiple of the grid, half a tile at most. They are blended over its middle
            half: what a network computes next to the border of a tile is not used.
        grid: tiles start at its multiples and end there, the last one at the end of the side.
    """
    if size <= tile_size:
        return [Span(0, size, None, None)]
    count = math.ceil((size - overlap) / (tile_size - overlap))
    length = math.ceil((size + (count - 1) * overlap) / count / grid) * grid
    last = math.ceil((size - length) / grid) * grid
    starts = [i * last // (count - 1) // grid * grid for i in range(count)]
    ends = [min(start + length, size) for start in starts]
    fades = [middle_half(start, end) for start, end in zip(starts[1:], ends[:-1], strict=True)]
    return [Span(*span) for span in zip(starts, ends, [None, *fades], [*fades, None], strict=True)]


def middle_half(start: int, end: int) -> tuple[float, float]:
    """Return the range without its first and last quarter."""
    quarter = (end - start) / 4
    return start + quarter, end - quarter


@dataclass(frozen=True)
class Tile:
    """One tile of a picture or latent."""

    rows: Span
    columns: Span

    def cut(self, x: Tensor, dim: int) -> Tensor:
        """Return the tile's part of `x`, a view; `dim` is `PICTURE` or `LATENT`."""
        x = x.narrow(dim, self.rows.start, self.rows.end - self.rows.start)
        return x.narrow(dim + 1, self.columns.start, self.columns.end - self.columns.start)

    def blend(self, result: Tensor, into: Tensor, dim: int) -> None:
        """Add the tile's result, weighted by its window, to what all tiles give together; cropped where that ends."""
        scale = result.shape[dim] / (self.rows.end - self.rows.start)
        weight = torch.outer(self.rows.window(scale), self.columns.window(scale)).to(result.device)
        result = result * (weight if dim == LATENT else weight[..., None])
        for axis, span in ((dim, self.rows), (dim + 1, self.columns)):
            start = round(span.start * scale)
            into = into.narrow(axis, start, min(result.shape[axis], into.shape[axis] - start))
            result = result.narrow(axis, 0, into.shape[axis])
        into += result.to(into.device)


def plan_tiles(
    height: int, width: int, tile_size: int | None, *, grid: int, unit: int = 1, overlap: int = OVERLAP
) -> list[Tile]:
    """Return the tiles of a picture or latent, row by row; one where it fits or `tile_size` is None.

    Args:
        height, width: in values.
        tile_size: side of a tile in pixels, at most.
        grid: values; see `plan_spans`.
        unit: pixels per value.
        overlap: neighbors share one part in so many of a side, and `MIN_OVERLAP` pixels at least.
    """
    if tile_size is None:
        return [Tile(Span(0, height, None, None), Span(0, width, None, None))]
    side = max(tile_size // unit // grid, 2) * grid
    shared = math.ceil(min(max(side / overlap, MIN_OVERLAP / unit), side / 2) / grid) * grid
    rows, columns = (plan_spans(size, side, overlap=shared, grid=grid) for size in (height, width))
    return [Tile(row, column) for row in rows for column in columns]


def run_tiled(
    network: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    tiles: Sequence[Tile],
    *,
    dims: tuple[int, int],
    size: tuple[int, int] | None = None,
    on_tile: OnTile | None = None,
) -> Tensor:
    """Run a network over the tiles of its inputs and blend the results; a single tile's result is returned as it is.

    Args:
        network: takes the same part of each input; gives s values for each along a side, with the same s for all tiles.
        inputs: all of one size.
        tiles: from `plan_tiles`.
        dims: `PICTURE` or `LATENT`: what goes in and what comes out.
        size: (height, width) to crop the result to.
        on_tile: called with the number of finished tiles, first 0, and of all.

    Returns the result on the device of the inputs.
    """
    report = on_tile or ignore_tile
    report(0, len(tiles))
    blended = None
    for number, tile in enumerate(tiles, start=1):
        result = network(*(tile.cut(x, dims[0]) for x in inputs))
        if len(tiles) == 1:
            blended = crop_to(result, size, dims[1])
        else:
            blended = allocate(result, tile, inputs[0], dims=dims, size=size) if blended is None else blended
            tile.blend(result, blended, dims[1])
        report(number, len(tiles))
    if blended is None:
        raise ValueError("no tiles were given")
    return blended


def allocate(result: Tensor, tile: Tile, x: Tensor, *, dims: tuple[int, int], size: tuple[int, int] | None) -> Tensor:
    """Return zeros for the blended result of all tiles, given that of one."""
    before, after = dims
    scale = result.shape[after] / (tile.rows.end - tile.rows.start)
    shape = list(result.shape)
    shape[after : after + 2] = size or [round(side * scale) for side in x.shape[before : before + 2]]
    return torch.zeros(shape, dtype=result.dtype, device=x.device)


def crop_to(x: Tensor, size: tuple[int, int] | None, dim: int) -> Tensor:
    """Return the top left part of a picture or latent; all of it where `size` is None."""
    if size is None or tuple(x.shape[dim : dim + 2]) == tuple(size):
        return x
    return x.narrow(dim, 0, size[0]).narrow(dim + 1, 0, size[1]).contiguous()
