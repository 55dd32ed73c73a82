"""Initialize a small vision tower as a frequency analyzer.

A vision tower must first discover that degradations show in local frequency statistics. Here its patch embedding is a
DCT, its first MLP gives the magnitudes of the coefficients, and its second attention their mean over the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from autodir_core.networks.build import submodule, vision_tower
from autodir_core.stages.biqa import CLIP_STD

if TYPE_CHECKING:
    from open_clip import CLIP

CARRIERS = 8
"""Channels of constant size that keep the layer norms from hiding how strong a picture's frequencies are."""

CARRIER_SIZE = 4.0
COLOR_EVERY = 4
"""One filter in `COLOR_EVERY` looks at color differences instead of luminance."""


@torch.no_grad()
def init_dct_patch_embedding(clip: CLIP) -> None:
    """Turn a freshly built vision tower into the frequency analyzer."""
    visual = vision_tower(clip)
    filters = visual.conv1.weight
    width, patch = filters.shape[0], filters.shape[-1]
    coefficients = min(patch * patch + patch * patch // COLOR_EVERY, (width - CARRIERS) // 2)
    filters.mul_(0.2)
    filters[:coefficients] = dct_filters(patch, coefficients)
    filters[-CARRIERS:] = 0
    visual.positional_embedding.mul_(0.3)
    visual.positional_embedding[:, -CARRIERS:] = CARRIER_SIZE * torch.tensor([1.0, -1.0]).repeat(CARRIERS // 2)
    first, second = (visual.transformer.resblocks[layer] for layer in range(2))
    damp_attention(submodule(first, "attn", nn.MultiheadAttention))
    init_magnitudes(submodule(first, "mlp.c_fc", nn.Linear), submodule(first, "mlp.c_proj", nn.Linear), coefficients)
    init_mean_magnitudes(submodule(second, "attn", nn.MultiheadAttention), coefficients)


def dct_filters(patch: int, count: int) -> Tensor:
    """Return the first `count` filters [count, 3, patch, patch] of a DCT over luminance and two color differences.

    Ordered by frequency; each is amplified with its frequency, since photographs fall off with it.
    """
    n = np.arange(patch)
    basis = np.cos(np.pi * (2 * n[None] + 1) * n[:, None] / (2 * patch)) * np.sqrt(2 / patch)
    basis[0] /= np.sqrt(2)
    planes = np.einsum("uy,vx->uvyx", basis, basis).reshape(-1, patch, patch)
    frequency = np.add.outer(n, n).ravel()
    order = np.argsort(frequency, kind="stable")
    planes = planes[order] * (0.05 + 0.15 * frequency[order, None, None])
    luminance, blue, red = (
        torch.einsum("c,fyx->fcyx", torch.tensor(weights), torch.from_numpy(planes).float())
        for weights in ((0.3, 0.6, 0.1), (-0.3, -0.6, 0.9), (0.7, -0.6, -0.1))
    )
    differences = torch.stack([blue, red], dim=1).flatten(0, 1)
    colored = min(count // COLOR_EVERY, len(differences))
    filters = torch.cat([luminance[: count - colored], differences[:colored]])
    return filters * torch.tensor(CLIP_STD).view(1, 3, 1, 1) / float(np.mean(CLIP_STD))


def damp_attention(attention: nn.MultiheadAttention) -> None:
    """Scale an attention down until it is nearly uniform and adds nearly nothing."""
    attention.in_proj_weight[: 2 * attention.embed_dim].mul_(0.1)
    attention.out_proj.weight.mul_(0.1)


def init_magnitudes(first: nn.Linear, second: nn.Linear, count: int) -> None:
    """Let an MLP add |coefficient| behind the coefficients, from pairs of units with opposite signs."""
    units = torch.arange(count)
    for row, sign in ((units, 3.0), (units + count, -3.0)):
        first.weight[row] = 0
        first.bias[row] = 0
        first.weight[row, units] = sign
        second.weight[:, row] = 0
        second.weight[count + units, row] = 1 / 3


def init_mean_magnitudes(attention: nn.MultiheadAttention, count: int) -> None:
    """Let a nearly uniform attention give every token the magnitudes' mean over the picture."""
    width = attention.embed_dim
    damp_attention(attention)
    magnitudes = torch.arange(count, 2 * count)
    attention.in_proj_weight[2 * width + magnitudes] = 0
    attention.in_proj_weight[2 * width + magnitudes, magnitudes] = 1
    attention.out_proj.weight[magnitudes, magnitudes] = 1
