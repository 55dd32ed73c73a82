"""A vision tower that computes no more than the class token needs."""

from __future__ import annotations

import pytest
import torch
from open_clip.transformer import ResidualAttentionBlock

from autodir_core.networks.build import build_clip, vision_tower
from autodir_core.networks.vision_blocks import ClassTokenBlock, FusedBlock
from autodir_core.stages.biqa import image_embeddings
from tests.distance import relative


@pytest.fixture
def clip(tiny):
    return build_clip(tiny.config.clip).requires_grad_(False).eval()


def blocks_of(clip):
    return [block for block in vision_tower(clip).modules() if isinstance(block, ResidualAttentionBlock)]


def test_the_embeddings_are_those_of_open_clip(clip):
    assert [type(block) for block in blocks_of(clip)] == [FusedBlock] * (len(blocks_of(clip)) - 1) + [ClassTokenBlock]
    images = torch.rand(2, 40, 50, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        fused = image_embeddings(clip, images)
        for block in blocks_of(clip):
            block.__class__ = ResidualAttentionBlock
        assert relative(fused, image_embeddings(clip, images)) < 1e-5


def test_the_last_block_computes_the_class_token_alone(clip):
    tokens = torch.rand(2, 5, vision_tower(clip).conv1.out_channels, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert [block(tokens).shape[1] for block in blocks_of(clip)[-2:]] == [5, 1]
    assert blocks_of(clip)[-1](tokens).shape == tokens.shape, "training sees all tokens"


def test_a_picture_of_a_batch_gives_what_it_gives_alone(clip):
    images = torch.rand(3, 40, 50, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together = image_embeddings(clip, images)
        assert relative(together, torch.cat([image_embeddings(clip, image) for image in images.split(1)])) < 1e-6
