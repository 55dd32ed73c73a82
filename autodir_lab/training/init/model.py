"""Builds a new model from a recipe."""

from __future__ import annotations

import torch

from autodir_core.errors import InputError
from autodir_core.model import AutoDIR
from autodir_core.networks.build import Networks, restore_buffers

from ..recipes import Recipe
from .dct_vision import init_dct_patch_embedding
from .prompts import train_text_tower
from .residual_correction import init_residual_correction


def init_model(recipe: Recipe) -> AutoDIR:
    """Return new networks with those initialisations that need no pictures, the same for the same seed.

    InputError for a recipe without `config`.
    """
    if recipe.config is None:
        raise InputError("this recipe has no config for a new model; give a model to continue with --model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        networks = Networks(recipe.config)
        restore_buffers(networks)
        init_dct_patch_embedding(networks.clip)
        init_residual_correction(networks.scm)
        train_text_tower(networks.clip, recipe.metadata.labels, steps=recipe.init.prompt_steps, seed=recipe.seed)
    return AutoDIR(networks.eval().requires_grad_(False), recipe.config, recipe.metadata)
