"""The text tower's initialization: every label's prompts point their own way."""

from __future__ import annotations

import torch

import autodir_core as ad
from autodir_core.networks.build import build_clip
from autodir_core.stages.biqa import encode_prompts
from autodir_lab.training.init.prompts import paraphrases, train_text_tower


def test_prompts_point_their_own_ways(small):
    torch.manual_seed(0)
    clip = build_clip(small.config.clip)
    train_text_tower(clip, steps=150)
    with torch.no_grad():
        cosines = encode_prompts(clip, ad.LABELS).embeddings
    cosines = cosines @ cosines.T
    assert (cosines - torch.eye(8)).max() < 0.5
    assert not any(parameter.requires_grad for parameter in clip.transformer.parameters())
    assert all(parameter.requires_grad for parameter in clip.visual.parameters())


def test_labels_of_ones_own_have_prompts_too():
    texts, owners = paraphrases(("haze", "glare", "no"))
    assert texts[1] == "A photo needs glare artifact reduction" and "remove the glare" in texts
    assert [owners[i].item() for i, text in enumerate(texts) if "glare" in text] == [1] * 6
