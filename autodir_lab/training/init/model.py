"""Build a new model from a recipe."""

from __future__ import annotations

import torch
from torch import nn

from autodir_core.errors import InputError
from autodir_core.model import AutoDIR
from autodir_core.networks.build import Networks, restore_buffers
from autodir_core.networks.nafnet import NAFNet

from ..recipes.recipe import Recipe
from .dct_vision import init_dct_patch_embedding
from .prompts import train_text_tower


def init_model(recipe: Recipe) -> AutoDIR:
    """Return new networks with those initializations that need no pictures, the same for the same seed.

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


@torch.no_grad()
def init_residual_correction(scm: NAFNet) -> None:
    """Let a freshly built correction return the residual degraded - generated.

    Its blocks are identities; the first three filters carry the degraded picture, the next three the generated one.
    """
    nn.init.dirac_(scm.intro.weight[:6])
    scm.get_parameter("intro.bias")[:6] = 0
    for up in scm.ups:
        up.get_parameter("0.weight").mul_(0.1)
    scm.ups[-1].get_parameter("0.weight")[: 6 * 4] = 0  # four shuffled channels become one channel of the picture
    scm.ending.weight.mul_(0.1)
    scm.ending.weight[:, :6] = 0
    scm.get_parameter("ending.bias").zero_()
    scm.ending.weight[range(3), range(3), 1, 1] = 1
    scm.ending.weight[range(3), range(3, 6), 1, 1] = -1
