"""Everything that decides what a trained model becomes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from autodir_core.checkpoint.load import restore_buffers
from autodir_core.choices import PRECISIONS
from autodir_core.errors import InputError
from autodir_core.model import AutoDIR
from autodir_core.networks.build import Networks
from autodir_core.networks.config import ModelConfig, ModelMetadata

from ..engine.config import TrainConfig
from ..init.networks import spread_prompts, start_correction, start_vision
from ..objectives.biqa import BIQAPlan
from ..objectives.ldm import LDMPlan
from ..objectives.scm import SCMPlan
from ..objectives.vae import VAEPlan

PARTS = ("biqa", "vae", "ldm", "scm")
"""In the order of their training: "ldm" builds on "vae", "scm" on both."""


@dataclass(frozen=True)
class Sources:
    """Where the pictures come from; shares are in proportion, among the sources that are there.

    Args:
        scenes: how many procedural scenes are drawn; 0 is none.
        scenes_share: how often a crop is of a scene.
        photos: a folder of clean photographs; "" is none.
        photos_share: how often a crop is of a photograph.
        pairs: a folder with `<label>/degraded` and `<label>/clean`; "" is none.
        pairs_share: how often a crop under such a label, or "no", is of the pairs.
    """

    scenes: int = 1600
    scenes_share: float = 0.53
    photos: str = ""
    photos_share: float = 0.47
    pairs: str = ""
    pairs_share: float = 1.0


@dataclass(frozen=True)
class Start:
    """How networks begin that are not loaded from a file.

    Args:
        prompt_steps: steps that spread the label prompts apart.
        codec_steps: steps that fit the linear codec the autoencoder begins as.
    """

    prompt_steps: int = 300
    codec_steps: int = 2000


@dataclass(frozen=True)
class Recipe:
    """What is trained, from what, and for how long.

    Args:
        name: of the file that is written.
        config: of the networks; None only continues the training of a file.
        metadata: of a new model; one that is trained further keeps its own.
        seed: of the starts and the scenes.
        store: precision of the written weights, a name of `PRECISIONS`.
        data: sources of the pictures.
        start: how new networks begin.
        biqa, vae, ldm, scm: length and learning rate of each part.
        biqa_data, vae_data, ldm_data, scm_data: crops and losses of each part.
    """

    biqa: TrainConfig
    vae: TrainConfig
    ldm: TrainConfig
    scm: TrainConfig
    name: str = "autodir"
    config: ModelConfig | None = None
    metadata: ModelMetadata = ModelMetadata()
    seed: int = 0
    store: str = "float32"
    data: Sources = Sources()
    start: Start = Start()
    biqa_data: BIQAPlan = BIQAPlan()
    vae_data: VAEPlan = VAEPlan()
    ldm_data: LDMPlan = LDMPlan()
    scm_data: SCMPlan = SCMPlan()

    def __post_init__(self) -> None:
        PRECISIONS.check(self.store)

    def loop(self, part: str) -> TrainConfig:
        """Length and learning rate of a part of `PARTS`."""
        return {"biqa": self.biqa, "vae": self.vae, "ldm": self.ldm, "scm": self.scm}[part]


def shortened(recipe: Recipe, share: float) -> Recipe:
    """The recipe with every part's steps multiplied by `share`, for a quick look or a longer training."""

    def shorter(plan: TrainConfig) -> TrainConfig:
        return replace(plan, steps=math.ceil(plan.steps * share))

    biqa, vae, ldm, scm = (shorter(recipe.loop(part)) for part in PARTS)
    return replace(recipe, biqa=biqa, vae=vae, ldm=ldm, scm=scm)


def start_model(recipe: Recipe) -> AutoDIR:
    """Freshly built networks with their starts, the same for the same seed; InputError for a recipe without config."""
    if recipe.config is None:
        raise InputError("this recipe has no config for a new model; give a model to continue with --model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        networks = Networks(recipe.config)
        restore_buffers(networks)
        start_vision(networks.clip)
        start_correction(networks.scm)
        spread_prompts(networks.clip, recipe.metadata.labels, steps=recipe.start.prompt_steps, seed=recipe.seed)
    return AutoDIR(networks.eval().requires_grad_(False), recipe.config, recipe.metadata)
