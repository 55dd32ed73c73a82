"""One short pass of the whole recipe, and the starts of the networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import autodir_core as ad
from autodir_core.assess import encode_prompts
from autodir_core.networks import build_clip
from autodir_core.shapes import CLIPSizes, ModelSizes, SCMSizes, UNetSizes, VAESizes
from autodir_core.training import linear
from autodir_core.training.data import cached_scenes, draw_batch
from autodir_core.training.recipes import MINI_SIZES, MiniRecipe, shortened, start_model, train_mini
from autodir_core.training.start import dct_filters, spread_prompts

SMALL = ModelSizes(
    unet=UNetSizes(16, 8, channels=(48, 32), blocks=1, attention=(False, True), context=64, heads=4, groups=8),
    vae=VAESizes(channels=(32, 48), blocks=1, latent_channels=8, groups=8),
    clip=replace(MINI_SIZES.clip, vision_width=96, vision_layers=2, vision_heads=4, vision_hidden=192, image=64),
    scm=SCMSizes(width=8, encoder_blocks=(1,), middle_blocks=1, decoder_blocks=(1,)),
)


@pytest.fixture(scope="module")
def recipe():
    small = MiniRecipe(
        sizes=SMALL,
        traits=replace(MiniRecipe().traits, vision_heads=4),
        scenes=2,
        prompt_steps=2,
        codec_steps=2,
        biqa_data=replace(MiniRecipe().biqa_data, batch=4, size=64),
        vae_data=replace(MiniRecipe().vae_data, batch=2, size=32),
        ldm_data=replace(MiniRecipe().ldm_data, batch=2, size=32),
        scm_data=replace(MiniRecipe().scm_data, batch=2, size=32, sampling_steps=2),
    )
    return shortened(small, 0.0005)


def test_all_parts_are_trained_and_load(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(linear, "CROPS", 8)
    path = train_mini(tmp_path, recipe)
    seen = ad.inspect(path)
    assert seen.problem is None and seen.traits.name == "autodir-mini" and "procedural" in seen.traits.provenance
    model = ad.load_autodir(path, device="cpu")
    fresh = start_model(recipe)
    for trained, start in zip(model.networks.children(), fresh.networks.children(), strict=True):
        moved = [
            not torch.equal(a, b.half().float()) for a, b in zip(trained.parameters(), start.parameters(), strict=True)
        ]
        assert any(moved)
    latents = model.encode(torch.rand(2, 64, 64, 3))
    assert latents.shape == (2, 8, 32, 32) and 0.5 < latents.std() * model.traits.latent_scale < 2
    assert ad.restore(model, torch.rand(1, 20, 30, 3), sampler=ad.SamplerSettings(steps=1)).image.shape == (
        1,
        20,
        30,
        3,
    )


def test_scenes_are_drawn_once(tmp_path):
    first = np.array(cached_scenes(tmp_path, 2, seed=4, workers=1))
    stamp = (tmp_path / "scenes-4-2.npy").stat().st_mtime_ns
    assert np.array_equal(cached_scenes(tmp_path, 2, seed=4), first)
    assert (tmp_path / "scenes-4-2.npy").stat().st_mtime_ns == stamp
    batch = draw_batch(first, 6, np.random.default_rng(0), size=48, clean_share=0.5)
    assert batch.clean.shape == batch.degraded.shape == (6, 48, 48, 3)
    for clean, degraded, label in zip(batch.clean, batch.degraded, batch.labels, strict=True):
        assert torch.equal(clean, degraded) == (ad.LABELS[label] == "no")


def test_the_patch_filters_are_a_cosine_transform():
    filters = dct_filters(8, 40)
    assert filters.shape == (40, 3, 8, 8)
    flat = filters[1:30].flatten(1)
    cosines = torch.nn.functional.normalize(flat, dim=1) @ torch.nn.functional.normalize(flat, dim=1).T
    assert torch.allclose(cosines, torch.eye(29), atol=1e-3), "luminance filters are orthogonal"
    assert filters[1:].sum(dim=(2, 3)).abs().max() < 1e-4 or filters[-10:].sum(dim=(2, 3)).abs().max() > 0


def test_prompts_point_their_own_ways():
    torch.manual_seed(0)
    clip = build_clip(replace(SMALL.clip, vocabulary=49408))
    spread_prompts(clip, steps=150)
    with torch.no_grad():
        cosines = encode_prompts(clip, ad.LABELS).embeddings
    cosines = cosines @ cosines.T
    assert (cosines - torch.eye(8)).max() < 0.5
    assert not any(parameter.requires_grad for parameter in clip.transformer.parameters())


def test_the_mini_sizes_fit_the_promise():
    assert isinstance(MINI_SIZES.clip, CLIPSizes) and MINI_SIZES.clip.text_width % 64 == 0
