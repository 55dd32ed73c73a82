"""A restoration in pictures: the montage of its rounds, and the contact sheet of several before/after pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from ..imaging.layout import check_images, from_uint8
from ..outputs import Restoration
from .drawing import BACKGROUND, GAP, SEAM, add_caption, arrange_in_grid, stack_horizontally, thumbnail, to_tensor
from .summary import check_picture_index, picture_rounds, winner_text

MAX_HEIGHT = 512
CONTACT_SHEET_HEIGHT = 256
"""Rows that pictures are reduced to when they have more."""

Pictures = Tensor | Sequence[Tensor]


def round_montage(images: Tensor, restoration: Restoration, picture: int = 0, height: int = MAX_HEIGHT) -> Tensor:
    """Return the input, the result of each round and the final result of one picture, side by side with captions.

    Args:
        images: the input [B, H, W, 3], 0..1, values outside allowed.
        restoration: the outcome of the loop for these images.
        picture: which picture of the batch, from 0.
        height: rows that pictures are reduced to when they have more.

    Returns float32 [1, h, w, 3] in 0..1. Raises InputError where there is no such picture.
    """
    images, rounds = check_images(images), picture_rounds(restoration, picture)
    check_picture_index(picture, len(images))
    captions = [
        f"round {n}: {winner_text(r, restoration.labels, picture)}{' refused' * (not r.changed(picture))}"
        for n, r in enumerate(rounds, start=1)
    ]
    captions = captions or [f"{restoration.stopped[picture].replace('_', ' ')}, left as it is"]
    shown = [images, *(done.image for done in rounds[:-1]), restoration.image]
    titles = ["input", *captions[:-1], "result"]
    details = [f"{images.shape[2]} x {images.shape[1]}", *[""] * len(captions[:-1]), captions[-1]]
    figures = [
        add_caption(thumbnail(batch[picture], height), title, detail)
        for batch, title, detail in zip(shown, titles, details, strict=True)
    ]
    return to_tensor(stack_horizontally(figures, GAP))


def batch_montage(images: Tensor, restoration: Restoration) -> Tensor:
    """Return the `round_montage` of every picture, [B, h, w, 3], the shorter ones extended to the longest."""
    montages = [round_montage(images, restoration, i) for i in range(len(images))]
    height, width = montages[0].shape[1], max(montage.shape[2] for montage in montages)
    batch = from_uint8(torch.tensor(BACKGROUND)).repeat(len(montages), height, width, 1)
    for row, montage in zip(batch, montages, strict=True):
        row[:, : montage.shape[2]] = montage[0]
    return batch


def contact_sheet(before: Pictures, after: Pictures, captions: Sequence[str]) -> Tensor:
    """Return several pictures before and after, pair by pair in a grid with captions.

    Args:
        before, after: batches [B, H, W, 3] or lists of [H, W, 3] or [1, H, W, 3] of any sizes, 0..1, values outside
            allowed.
        captions: one per pair.

    Returns float32 [1, h, w, 3] in 0..1, with pictures of at most 256 rows. Raises InputError where the numbers differ.
    """
    counts = len(before), len(after), len(captions)
    if min(counts) == 0 or len(set(counts)) > 1:
        got = ", ".join(map(str, counts))
        raise InputError(f"a contact sheet needs as many pictures before as after and as captions, got {got}")
    pairs = [
        add_caption(stack_horizontally([thumbnail(image, CONTACT_SHEET_HEIGHT) for image in pair], SEAM), caption)
        for *pair, caption in zip(before, after, captions, strict=True)
    ]
    return to_tensor(arrange_in_grid(pairs))
