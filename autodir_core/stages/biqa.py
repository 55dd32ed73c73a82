"""BIQA: CLIP tells which degradation of a picture needs restoration most (paper section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..imaging.layout import center_crop, check_finite, grid_crops
from ..labels import prompt_for
from ..networks.build import vision_image_size, vision_tower
from .conditioning import pool_text, text_states, tokenize

if TYPE_CHECKING:
    from open_clip import CLIP

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

CROPS_AT_ONCE = 9
"""Crops of a grid that go through the tower together."""

MAP_CELL, MAP_WINDOWS, MAP_BATCH = 16, 16, 8
"""Of a map: pixels per value a side, windows a side at most, and windows that go through the tower at once."""

DAMAGE_PROBABILITIES = 0.2, 0.5
"""Of a place: up to the first a mask is 0, from the second on 1."""


@dataclass(frozen=True)
class Prompts:
    """The prompts of a label list as CLIP encodes them: states [L, 77, D] and unit embeddings [L, E]."""

    labels: tuple[str, ...]
    states: Tensor
    embeddings: Tensor


def encode_prompts(clip: CLIP, labels: tuple[str, ...]) -> Prompts:
    """Encode the label prompts, padding masked (official `BIQA`; custom prompts differ in that)."""
    tokens, lengths = tokenize([prompt_for(label) for label in labels])
    states = text_states(clip, tokens, lengths)
    embeddings = pool_text(clip, states, tokens)
    return Prompts(labels, states.float(), torch.nn.functional.normalize(embeddings.float(), dim=-1))


def clip_pixels(images: Tensor, side: int, device: torch.device | None = None) -> Tensor:
    """Return the normalized center of [B, H, W, 3] at native resolution, what the vision tower sees.

    Only the crop goes to `device`. Returns [B, 3, side, side]; what a smaller picture lacks is black.
    """
    x = center_crop(images.permute(0, 3, 1, 2), side).to(device or images.device)
    mean, std = (torch.tensor(values, device=x.device).view(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return (x - mean) / std


def image_embeddings(clip: CLIP, images: Tensor) -> Tensor:
    """Return the unit embeddings [B, E] of [B, H, W, 3], on the device of the network."""
    weight = vision_tower(clip).conv1.weight
    pixels = check_finite(clip_pixels(images, vision_image_size(clip), weight.device))
    return clip.encode_image(pixels.to(weight), normalize=True).float()


def label_logits(clip: CLIP, images: Tensor, prompts: Prompts) -> Tensor:
    """Return the scaled cosine of each picture with each prompt, [B, L]."""
    return clip.logit_scale.float().exp() * image_embeddings(clip, images) @ prompts.embeddings.T


def classify(clip: CLIP, images: Tensor, prompts: Prompts, crops: str) -> tuple[Tensor, Tensor | None]:
    """Return how probable each label is, [B, L]: officially the softmax of the central crop's logits, without votes.

    With several crops their probabilities are averaged, not their logits: each crop has one vote, and one with large
    logits does not drown the others. How many have each label as their most probable one is returned too, [B, L].
    Crops go through the tower picture by picture, a few at once, so that a picture of a batch gives what it gives
    alone.
    """
    if crops == "center":
        return label_logits(clip, images, prompts).softmax(dim=-1), None
    grids = (grid_crops(image, vision_image_size(clip)).split(CROPS_AT_ONCE) for image in images.split(1))
    seen = [torch.cat([label_logits(clip, part, prompts).softmax(dim=-1) for part in grid]) for grid in grids]
    votes = [found.argmax(dim=1).bincount(minlength=len(prompts.labels)) for found in seen]
    return torch.stack([found.mean(dim=0) for found in seen]), torch.stack(votes)


def probability_map(clip: CLIP, image: Tensor, prompts: Prompts) -> Tensor:
    """Return how probable each label is around each place of a picture [1, H, W, 3]: [L, h, w], a value per `MAP_CELL`.

    Windows of the tower's size overlap by three quarters, up to `MAP_WINDOWS` a side; between their centers the
    probabilities are interpolated.
    """
    side, (height, width) = vision_image_size(clip), image.shape[1:3]
    tops, lefts = (window_starts(length, side) for length in (height, width))
    windows = [image[:, top : top + side, left : left + side] for top in tops for left in lefts]
    rows = [
        label_logits(clip, torch.cat(windows[i : i + MAP_BATCH]), prompts).softmax(dim=-1)
        for i in range(0, len(windows), MAP_BATCH)
    ]
    centers = torch.cat(rows).T.reshape(1, -1, len(tops), len(lefts))
    y, x = (map_places(length, side, centers.device) for length in (height, width))
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None]
    return torch.nn.functional.grid_sample(centers, grid, padding_mode="border", align_corners=True)[0]


def window_starts(length: int, side: int) -> list[int]:
    """Return where the windows of a map start, evenly spread from the first pixel to the last."""
    count = min(-(-max(length - side, 0) * 4 // side) + 1, MAP_WINDOWS)
    return [i * (length - side) // (count - 1) for i in range(count)] if count > 1 else [0]


def map_places(length: int, side: int, device: torch.device) -> Tensor:
    """Return where the cells of a map are between the first and the last window's center, -1..1 and beyond."""
    cells = -(-length // MAP_CELL)
    centers = (torch.arange(cells, device=device) + 0.5) * length / cells
    return 2 * (centers - side / 2) / max(length - side, 1) - 1


def damage_mask(probabilities: Tensor) -> Tensor:
    """Return where a degradation is, from the map [h, w] of its probability: 0 where it is improbable, 1 where not."""
    low, high = DAMAGE_PROBABILITIES
    return ((probabilities - low) / (high - low)).clamp(0, 1)
