from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from autodir_core.networks.build import build_clip, submodule, vision_image_size
from autodir_lab.training.recipes.recipe import read_recipe


def test_a_part_is_what_stands_at_the_path():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
    assert submodule(network, "1.1", nn.Linear) is network[1][1]


def test_a_part_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="0 must be a Linear, got a ReLU"):
        submodule(nn.Sequential(nn.ReLU()), "0", nn.Linear)


def test_the_vision_tower_knows_its_side():
    mini = read_recipe("mini").config.clip
    clip = build_clip(replace(mini, image=64, vision_layers=1, text_layers=1, vocabulary=50))
    assert vision_image_size(clip) == 64
