"""Everything that decides what a trained model becomes.

Read from TOML; an unknown key is an error, because a typing mistake would cost hours.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from autodir_core.checkpoint.metadata import ModelMetadata
from autodir_core.choices import PRECISIONS
from autodir_core.errors import InputError
from autodir_core.networks.config import ModelConfig
from autodir_core.optional_imports import optional_import
from autodir_core.serialization.typed_reader import read_dataclass

from .. import STAGE_NAMES
from ..data.sources import DataConfig
from ..engine.config import TrainConfig
from ..objectives.biqa import BIQAObjectiveConfig
from ..objectives.ldm import LDMObjectiveConfig
from ..objectives.scm import SCMObjectiveConfig
from ..objectives.vae import VAEObjectiveConfig

SHIPPED = ("mini", "official", "teach", "families")
"""The recipes that come with this package."""


@dataclass(frozen=True)
class InitConfig:
    """How new networks are initialized.

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
        seed: of the initialization and the scenes.
        save_precision: precision of the written weights, a name of `PRECISIONS`.
        data: sources of the pictures.
        init: how new networks are initialized.
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


def read_recipe(path: str | Path) -> Recipe:
    """Return the recipe of a TOML file, or one of `SHIPPED` by its name, with or without ".toml".

    Raises InputError for a file that is not there, is not TOML, or has unknown keys or values of another type.
    """
    path = Path(path)
    name = path.name.removesuffix(".toml")
    if not path.is_file() and name in SHIPPED and path.parent == Path():
        path = Path(__file__).with_name(f"{name}.toml")
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a recipe's TOML file, or one of: {', '.join(SHIPPED)}")
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        with optional_import("tomli"):
            import tomli as tomllib  # pyright: ignore[reportMissingImports] - Pythons with tomllib do without it
    try:
        return read_dataclass(Recipe, tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
