"""Everything that decides what a trained model becomes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from autodir_core.checkpoint.metadata import ModelMetadata
from autodir_core.choices import PRECISIONS
from autodir_core.networks.config import ModelConfig

from .. import STAGE_NAMES
from ..data.build import DataConfig
from ..engine.config import TrainConfig
from ..objectives.biqa import BIQAPlan
from ..objectives.ldm import LDMPlan
from ..objectives.scm import SCMPlan
from ..objectives.vae import VAEPlan


@dataclass(frozen=True)
class InitConfig:
    """How new networks are initialised.

    Args:
        prompt_steps: steps that spread the label prompts apart.
        codec_steps: steps that fit the linear codec which the autoencoder starts from.
    """

    prompt_steps: int = 300
    codec_steps: int = 2000


@dataclass(frozen=True)
class Recipe:
    """What is trained, from what, and for how long.

    Args:
        name: of the file that is written.
        config: of the networks; None only continues the training of a file.
        metadata: of a new model; one whose training is continued keeps its own.
        seed: of the initialisation and the scenes.
        store: precision of the written weights, a name of `PRECISIONS`.
        data: sources of the pictures.
        init: how new networks are initialised.
        biqa, vae, ldm, scm: length and learning rate of each stage.
        biqa_data, vae_data, ldm_data, scm_data: crops and losses of each stage.
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
    data: DataConfig = DataConfig()
    init: InitConfig = InitConfig()
    biqa_data: BIQAPlan = BIQAPlan()
    vae_data: VAEPlan = VAEPlan()
    ldm_data: LDMPlan = LDMPlan()
    scm_data: SCMPlan = SCMPlan()

    def __post_init__(self) -> None:
        PRECISIONS.check(self.store)

    def train_config(self, stage: str) -> TrainConfig:
        """Return length and learning rate of a stage of `STAGE_NAMES`."""
        return getattr(self, stage)


def scale_steps(recipe: Recipe, factor: float) -> Recipe:
    """Return the recipe with the steps of every stage multiplied by a factor and rounded up."""
    configs = {stage: recipe.train_config(stage) for stage in STAGE_NAMES}
    return replace(
        recipe,
        **{stage: replace(config, steps=math.ceil(config.steps * factor)) for stage, config in configs.items()},
    )
