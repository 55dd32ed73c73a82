"""New models: the labels of their recipe, and the same weights for the same seed."""

from __future__ import annotations

from dataclasses import replace

import torch

from autodir_lab.training.init.model import init_model


def test_a_model_begins_with_the_labels_of_its_recipe(small):
    recipe = replace(small, metadata=replace(small.metadata, labels=("haze", "glare", "no")))
    first, again = (init_model(recipe) for _ in range(2))
    assert first.labels == ("haze", "glare", "no")
    assert first.assess(torch.rand(1, 64, 64, 3)).probabilities.shape == (1, 3)
    pairs = zip(first.networks.state_dict().values(), again.networks.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
