"""Patch dropout: the class token stays, and every picture has its own patches however the batch is split."""

from __future__ import annotations

import pytest
import torch

from autodir_core import InputError
from autodir_core.networks.build import build_clip
from autodir_lab.training.data.dataset import full_batch, split_batch
from autodir_lab.training.objectives.patch_dropout import PatchDropout, block_patches, sample_patches


def test_the_class_token_and_the_chosen_patches_are_kept():
    x = torch.arange(10.0).view(2, 5, 1)
    dropout = PatchDropout()
    assert dropout(x) is x
    with dropout.keep_only(torch.tensor([[3, 0], [1, 2]])):
        assert dropout(x).flatten().tolist() == [0, 4, 1, 5, 7, 8]
        assert dropout(x[:1]).flatten().tolist() == [0, 4, 1]
    assert dropout(x) is x


def test_patches_are_drawn_per_picture(small):
    clip = build_clip(small.config.clip)
    patches = sample_patches(clip, full_batch(0, 4), [0], 0.25)
    assert patches.shape == (5, 16) and all(len(row.unique()) == 16 for row in patches)
    first, second = (
        sample_patches(clip, micro, [0] if i == 0 else [], 0.25) for i, micro in enumerate(split_batch(0, 0, 4, 2))
    )
    assert torch.equal(patches, torch.cat([first[:2], second, first[2:]]))


def test_patches_of_a_block_are_kept_together(small):
    """Of 8 by 8 patches a quarter: single ones, or four blocks of 2 by 2."""
    assert block_patches(16, 2)[1].tolist() == [2, 3, 6, 7]
    clip, micro = build_clip(small.config.clip), full_batch(0, 16)
    patches = sample_patches(clip, micro, [0], 0.25, (1, 2))
    assert patches.shape == (17, 16) and all(len(row.unique()) == 16 for row in patches)
    blocks = [{(patch // 16, patch % 8 // 2) for patch in row.tolist()} for row in patches]
    assert {len(found) == 4 for found in blocks} == {True, False}, "some pictures have blocks, some have not"
    with pytest.raises(InputError, match="must divide the 8 patches"):
        sample_patches(clip, micro, [], 0.25, (3,))
