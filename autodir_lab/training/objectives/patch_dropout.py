"""Patch dropout: a vision tower that is trained on some of a picture's patches, which saves time (Li et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

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


def sample_patches(clip: CLIP, micro: MicroBatch, references: list[int], keep_ratio: float) -> Tensor:
    """Draw the patches [B + R, K] to keep of a micro-batch's pictures, and of the ground truths of some rows of it."""
    count = len(vision_tower(clip).get_parameter("positional_embedding")) - 1
    orders = [rng.permuted([range(count)] * 2, axis=1) for rng in micro.rngs("tokens")]
    chosen = [order[0] for order in orders] + [orders[row][1] for row in references]
    return torch.tensor([order[: max(1, int(count * keep_ratio))].tolist() for order in chosen])
