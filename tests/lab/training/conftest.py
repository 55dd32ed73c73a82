"""What the tests of training share: two scenes, a small model's sizes, and a recipe of a few short steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autodir_core.networks.config import ModelConfig, SCMConfig, UNetConfig, VAEConfig
from autodir_lab.training.data.crops import CropConfig
from autodir_lab.training.data.prepare_data import prepare_scenes
from autodir_lab.training.data.sources import DataConfig, synthetic_data
from autodir_lab.training.init import linear_codec as linear
from autodir_lab.training.recipes.recipe import InitConfig, Recipe, read_recipe


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    return np.array(prepare_scenes(tmp_path_factory.mktemp("scenes"), 2, seed=5).array)


@pytest.fixture(scope="session")
def data(scenes):
    return synthetic_data(scenes)


@pytest.fixture
def few_crops(monkeypatch):
    """The linear codec is fitted to a few crops."""
    monkeypatch.setattr(linear, "CROPS", 8)


@pytest.fixture(scope="session")
def small() -> Recipe:
    """The mini recipe with networks and crops so small that a step takes a moment."""
    mini = read_recipe("mini")
    clip = replace(
        mini.config.clip,
        vision_width=96,
        vision_layers=2,
        vision_heads=4,
        vision_hidden=192,
        image=64,
        vocabulary=49408,
    )
    config = ModelConfig(
        unet=UNetConfig(16, 8, channels=(48, 32), blocks=1, attention=(False, True), context=64, heads=4, groups=8),
        vae=VAEConfig(channels=(32, 48), blocks=1, latent_channels=8, groups=8),
        clip=clip,
        scm=SCMConfig(width=8, encoder_blocks=(1,), middle_blocks=1, decoder_blocks=(1,)),
    )
    return replace(
        mini,
        config=config,
        metadata=replace(mini.metadata, vision_heads=4),
        data=DataConfig(scenes=2),
        init=InitConfig(prompt_steps=2, codec_steps=2),
        biqa=replace(mini.biqa, steps=2, batch_size=4),
        ldm=replace(mini.ldm, steps=2, batch_size=2),
        scm=replace(mini.scm, steps=2, batch_size=2),
        biqa_objective=replace(mini.biqa_objective, crops=replace(mini.biqa_objective.crops, size=64)),
        vae_objective=replace(mini.vae_objective, crops=CropConfig(32, clean_fraction=0.5)),
        ldm_objective=replace(mini.ldm_objective, crops=CropConfig(32, clean_fraction=0.05)),
        scm_objective=replace(mini.scm_objective, crops=CropConfig(32, clean_fraction=0.1), sampling_steps=2),
    )
