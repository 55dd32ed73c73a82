"""Small random images and a tiny recipe, which the tests of the laboratory share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from autodir_lab.training.data.sources import DataConfig
from autodir_lab.training.recipes.recipe import InitConfig, Recipe, read_recipe


@pytest.fixture(scope="session")
def random_image() -> Callable[..., torch.Tensor]:
    """Return random images [1, size, size, 3] by seed."""
    return lambda seed, size=64: torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """The mini recipe with a smaller vision tower, two scenes and hardly any initialization."""
    mini = read_recipe("mini")
    clip = replace(mini.config.clip, vision_width=96, vision_layers=2, vision_heads=4, vision_hidden=192, image=64)
    return replace(
        mini,
        config=replace(mini.config, clip=clip),
        metadata=replace(mini.metadata, vision_heads=4),
        data=DataConfig(scenes=2),
        init=InitConfig(prompt_steps=2, codec_steps=2),
        biqa=replace(mini.biqa, batch_size=16, log_every=1, precision="float32"),
        biqa_objective=replace(mini.biqa_objective, crops=replace(mini.biqa_objective.crops, size=64)),
    )
