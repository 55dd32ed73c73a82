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
from ..objectives.biqa import BIQAObjectiveConfig
from ..objectives.ldm import LDMObjectiveConfig
from ..objectives.scm import SCMObjectiveConfig
from ..objectives.vae import VAEObjectiveConfig


@dataclass(frozen=True)
class InitConfig:
    """How new networks are initialised.

    Args:
        prompt_steps: steps that train the text tower on the label prompts.
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
        save_precision: precision of the written weights, a name of `PRECISIONS`.
        data: sources of the pictures.
        init: how new networks are initialised.
        biqa, vae, ldm, scm: length and learning rate of each stage.
        biqa_objective, vae_objective, ldm_objective, scm_objective: crops and losses of each stage.
    """

    biqa: TrainConfig
    vae: TrainConfig
    ldm: TrainConfig
    scm: TrainConfig
    name: str = "autodir"
    config: ModelConfig | None = None
    metadata: ModelMetadata = ModelMetadata()
    seed: int = 0
    save_precision: str = "float32"
    data: DataConfig = DataConfig()
    init: InitConfig = InitConfig()
    biqa_objective: BIQAObjectiveConfig = BIQAObjectiveConfig()
    vae_objective: VAEObjectiveConfig = VAEObjectiveConfig()
    ldm_objective: LDMObjectiveConfig = LDMObjectiveConfig()
    scm_objective: SCMObjectiveConfig = SCMObjectiveConfig()

    def __post_init__(self) -> None:
        PRECISIONS.check(self.save_precision)

    def train_config(self, stage: str) -> TrainConfig:
        """Return length and learning rate of a stage of `STAGE_NAMES`."""
        return getattr(self, stage)


def scale_steps(recipe: Recipe, factor: float) -> Recipe:
    """Return the recipe with the steps of every stage multiplied by a factor and rounded up."""
    configs = {stage: recipe.train_config(stage) for stage in STAGE_NAMES}
    return replace(
        recipe, **{stage: replace(config, steps=math.ceil(config.steps * factor)) for stage, config in configs.items()}
    )
