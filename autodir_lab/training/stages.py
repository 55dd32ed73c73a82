"""The stages of a model's training, a record each: what it trains, on what, and what it needs and leaves behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from autodir_core.model import AutoDIR

from .data.sources import TrainingData
from .engine.distributed import ProcessGroup
from .engine.sample_grid import draw_biqa_grid, draw_ldm_grid, draw_scm_grid, draw_vae_grid
from .init.linear_codec import init_linear_codec
from .init.linear_denoiser import init_linear_denoiser
from .objectives.biqa import Teacher, biqa_objective
from .objectives.ldm import ldm_objective
from .objectives.losses import Objective
from .objectives.patch_dropout import remove_patch_dropout
from .objectives.scm import scm_objective
from .objectives.vae import rescale_latents, vae_objective
from .recipes import Recipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRun:
    """What the stages of one training share.

    Args:
        model: its networks are trained in place, in float32 on the device of the group.
        data: the pictures and their labels.
        recipe: lengths, crops and losses.
        folder: of checkpoints, logs, sample grids and finished stages; an interrupted training continues from it.
        from_scratch: whether the networks are new, instead of from a file.
        teacher: the assessment before a label was added; None where none is.
        group: the processes that take part.
        num_workers: further processes of each that draw pictures ahead.
        tensorboard: whether TensorBoard gets losses and sample grids too.
        notify: called with lines for the user.
    """

    model: AutoDIR
    data: TrainingData
    recipe: Recipe
    folder: Path
    from_scratch: bool
    teacher: Teacher | None = None
    group: ProcessGroup = ProcessGroup()
    num_workers: int = 0
    tensorboard: bool = False
    notify: Callable[[str], None] = logger.info


def _nothing(run: TrainingRun) -> None: ...


@dataclass(frozen=True)
class Stage:
    """One stage: the training of one network.

    Attributes:
        name: key of its tables in a recipe, and of its files.
        network: the network that is trained.
        objective: the losses that it minimizes.
        sample_grid: a picture [1, H, W, 3], 0..1, of what the network does.
        needs: names of the stages whose trained networks it builds on.
        initialize: called before the first step of a new network.
        finalize: called after the last step.
    """

    name: str
    network: Callable[[TrainingRun], nn.Module]
    objective: Callable[[TrainingRun], Objective]
    sample_grid: Callable[[TrainingRun], Tensor]
    needs: tuple[str, ...] = ()
    initialize: Callable[[TrainingRun], None] = _nothing
    finalize: Callable[[TrainingRun], None] = _nothing


def _biqa_objective(run: TrainingRun) -> Objective:
    recipe = run.recipe
    unmasked_from = round(recipe.biqa.steps * (1 - recipe.biqa_objective.unmasked_fraction))
    return biqa_objective(
        run.model.networks.clip, run.data, recipe.biqa_objective, unmasked_from=unmasked_from, teacher=run.teacher
    )


BIQA = Stage(
    name="biqa",
    network=lambda run: run.model.networks.clip,
    objective=_biqa_objective,
    sample_grid=lambda run: draw_biqa_grid(run.model, run.data, run.recipe.biqa_objective.crops.size),
    finalize=lambda run: remove_patch_dropout(run.model.networks.clip),
)


def _initialize_vae(run: TrainingRun) -> None:
    recipe = run.recipe
    init_linear_codec(run.model.networks.vae, run.data, steps=recipe.init.codec_steps, seed=recipe.seed)


def _finalize_vae(run: TrainingRun) -> None:
    if run.from_scratch:
        rescale_latents(run.model, run.data, seed=run.recipe.seed)


VAE = Stage(
    name="vae",
    network=lambda run: run.model.networks.vae,
    objective=lambda run: vae_objective(run.model, run.data, run.recipe.vae_objective),
    sample_grid=lambda run: draw_vae_grid(run.model, run.data, run.recipe.vae_objective.crops.size),
    initialize=_initialize_vae,
    finalize=_finalize_vae,
)


LDM = Stage(
    name="ldm",
    network=lambda run: run.model.networks.unet,
    objective=lambda run: ldm_objective(run.model, run.data, run.recipe.ldm_objective),
    sample_grid=lambda run: draw_ldm_grid(run.model, run.data, run.recipe.ldm_objective.crops.size),
    needs=("vae",),
    initialize=lambda run: init_linear_denoiser(run.model, run.data, seed=run.recipe.seed),
)


def _scm_objective(run: TrainingRun) -> Objective:
    # channels last: three times as fast on a CPU, the same numbers
    run.model.networks.scm.to(memory_format=torch.channels_last)
    return scm_objective(run.model, run.data, run.recipe.scm_objective)


SCM = Stage(
    name="scm",
    network=lambda run: run.model.networks.scm,
    objective=_scm_objective,
    sample_grid=lambda run: draw_scm_grid(run.model, run.data, run.recipe.scm_objective.crops.size),
    needs=("vae", "ldm"),
)

STAGES: Mapping[str, Stage] = {stage.name: stage for stage in (BIQA, VAE, LDM, SCM)}
"""By name, in the order of their training."""
