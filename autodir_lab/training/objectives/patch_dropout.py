"""Patch dropout: a vision tower that is trained on some of a picture's patches, which saves time (Li et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from autodir_core.errors import InputError
from autodir_core.networks.build import vision_tower

if TYPE_CHECKING:
    from open_clip import CLIP

    from ..data.dataset import MicroBatch


class PatchDropout(nn.Module):
    """Replaces open_clip's patch dropout: keeps the class token and, within `keep_only`, the patches named there.

    Shared by two towers, it keeps the same patches of the same pictures in both.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patches: Tensor | None = None

    @contextmanager
    def keep_only(self, patches: Tensor | None) -> Iterator[None]:
        """Keep the patches [N, K] of up to N pictures, or all (None); outside the context all are kept."""
        self.patches = patches
        try:
            yield
        finally:
            self.patches = None

    def forward(self, x: Tensor) -> Tensor:
        if self.patches is None:
            return x
        rows = torch.arange(len(x), device=x.device)[:, None]
        return torch.cat([x[:, :1], x[:, 1:][rows, self.patches[: len(x)].to(x.device)]], dim=1)


def add_patch_dropout(clip: CLIP, dropout: PatchDropout) -> None:
    """Put a patch dropout into the vision tower, until `remove_patch_dropout`."""
    vision_tower(clip).add_module("patch_dropout", dropout)


def remove_patch_dropout(clip: CLIP) -> None:
    """Let the vision tower see all patches again."""
    vision_tower(clip).patch_dropout = nn.Identity()


def sample_patches(
    clip: CLIP, micro: MicroBatch, references: list[int], keep_ratio: float, block_sides: Sequence[int] = (1,)
) -> Tensor:
    """Draw the patches [B + R, K] to keep of a micro-batch's pictures, and of the ground truths of some rows of it.

    They are kept in square blocks, each picture's of one of `block_sides`; InputError for a side that does not fit.
    """
    count = len(vision_tower(clip).get_parameter("positional_embedding")) - 1
    blocks = [block_patches(count, side) for side in block_sides]
    drawn = [blocks[index] for index in micro.integers("token blocks", len(blocks)).tolist()]
    orders = [
        rng.permuted([range(len(block))] * 2, axis=1) for rng, block in zip(micro.rngs("tokens"), drawn, strict=True)
    ]
    chosen = [block[order[0]] for block, order in zip(drawn, orders, strict=True)]
    chosen += [drawn[row][orders[row][1]] for row in references]
    keep = max(1, int(count * keep_ratio))
    return torch.stack([patches.flatten()[:keep] for patches in chosen])


def block_patches(count: int, side: int) -> Tensor:
    """Return the patches [count / side^2, side^2] of each square block of a picture of `count` patches."""
    grid = math.isqrt(count)
    if side < 1 or grid % side:
        raise InputError(f"patch_blocks must divide the {grid} patches along a side, got {side}")
    patches = torch.arange(count).view(grid // side, side, grid // side, side)
    return patches.transpose(1, 2).reshape(-1, side * side)
