"""Blocks of the vision tower that compute only what the class token needs, with fused attention.

Without gradients PyTorch takes a "fast path" for self-attention, which is slower than its fused attention where a
picture has many patches (785 tokens in the embedded model), and the tower computes all tokens to the end, though it
hands on the class token alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor

if TYPE_CHECKING:
    from open_clip import CLIP


class FusedBlock(ResidualAttentionBlock):
    """A block with PyTorch's fused attention, of the first `queries` tokens or of all."""

    queries: int | None = None

    def forward(self, q_x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(q_x, *args, **kwargs)
        keys = self.ln_1(q_x)
        queries = keys[:, : self.queries]  # another tensor than the keys: only the same one takes the fast path
        x = q_x[:, : self.queries] + self.ls_1(self.attn(queries, keys, keys, need_weights=False)[0])
        return x + self.ls_2(self.mlp(self.ln_2(x)))


class ClassTokenBlock(FusedBlock):
    """A last block: of [B, N, D] the class token [B, 1, D]."""

    queries = 1


def fuse_vision_blocks(clip: CLIP) -> CLIP:
    """Let the vision tower of a CLIP compute less, and return the CLIP; parameters stay as they are."""
    blocks = [module for module in clip.visual.modules() if type(module) is ResidualAttentionBlock]
    for block in blocks:
        block.__class__ = ClassTokenBlock if block is blocks[-1] else FusedBlock
    return clip
