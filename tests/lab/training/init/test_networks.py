"""The starts of networks that know something before they learn."""

from __future__ import annotations

from dataclasses import replace

import torch

import autodir_core as ad
from autodir_core.networks.build import build_clip
from autodir_core.stages.biqa import encode_prompts
from autodir_lab.training.init.model import init_model
from autodir_lab.training.init.networks import dct_filters, paraphrases, spread_prompts


def test_the_patch_filters_are_a_cosine_transform():
    filters = dct_filters(8, 40)
    assert filters.shape == (40, 3, 8, 8)
    flat = filters[1:30].flatten(1)
    cosines = torch.nn.functional.normalize(flat, dim=1) @ torch.nn.functional.normalize(flat, dim=1).T
    assert torch.allclose(cosines, torch.eye(29), atol=1e-3), "luminance filters are orthogonal"
    assert filters[1:].sum(dim=(2, 3)).abs().max() < 1e-4 or filters[-10:].sum(dim=(2, 3)).abs().max() > 0


def test_prompts_point_their_own_ways(small):
    torch.manual_seed(0)
    clip = build_clip(small.config.clip)
    spread_prompts(clip, steps=150)
    with torch.no_grad():
        cosines = encode_prompts(clip, ad.LABELS).embeddings
    cosines = cosines @ cosines.T
    assert (cosines - torch.eye(8)).max() < 0.5
    assert not any(parameter.requires_grad for parameter in clip.transformer.parameters())


def test_labels_of_ones_own_have_prompts_too():
    texts, owners = paraphrases(("haze", "glare", "no"))
    assert texts[1] == "A photo needs glare artifact reduction" and "remove the glare" in texts
    assert [owners[i].item() for i, text in enumerate(texts) if "glare" in text] == [1] * 6


def test_a_model_begins_with_the_labels_of_its_recipe(small):
    recipe = replace(small, metadata=replace(small.metadata, labels=("haze", "glare", "no")))
    first, again = (init_model(recipe) for _ in range(2))
    assert first.labels == ("haze", "glare", "no")
    assert first.assess(torch.rand(1, 64, 64, 3)).probabilities.shape == (1, 3)
    pairs = zip(first.networks.state_dict().values(), again.networks.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
