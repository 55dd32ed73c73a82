"""The stages of a model's training, a record each; trains them one after another and writes the file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from autodir_core.errors import InputError
from autodir_core.model import AutoDIR
from autodir_core.serialization.atomic import atomic_path, explain_write

from .data.sources import TrainingData
from .engine.callbacks import SampleGrids, TrainingLogger
from .engine.distributed import ProcessGroup
from .engine.export import write_model
from .engine.loop import train
from .engine.memory import describe_memory, estimate_memory
from .engine.sample_grid import draw_biqa_grid, draw_ldm_grid, draw_scm_grid, draw_vae_grid
from .engine.state import unfreeze
from .init.linear_codec import init_linear_codec
from .init.linear_denoiser import init_linear_denoiser
from .objectives.biqa import Teacher, biqa_objective
from .objectives.ldm import ldm_objective
from .objectives.losses import Objective
from .objectives.patch_dropout import remove_patch_dropout
from .objectives.scm import scm_objective
from .objectives.vae import rescale_latents, vae_objective
from .recipes.recipe import Recipe

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
    initialize: Callable[[TrainingRun], None] = lambda run: None
    finalize: Callable[[TrainingRun], None] = lambda run: None


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


SCM = Stage(
    name="scm",
    network=lambda run: run.model.networks.scm,
    objective=lambda run: scm_objective(run.model, run.data, run.recipe.scm_objective),
    sample_grid=lambda run: draw_scm_grid(run.model, run.data, run.recipe.scm_objective.crops.size),
    needs=("vae", "ldm"),
)

STAGES: Mapping[str, Stage] = {stage.name: stage for stage in (BIQA, VAE, LDM, SCM)}
"""By name, in the order of their training."""


def train_stages(run: TrainingRun, names: Sequence[str], target: Path) -> Path:
    """Train the named stages in the order of `STAGES` and write the whole model; return the path of the file.

    Networks of stages that are not named are those that an earlier run finished in the folder, or else the model's.
    """
    for name, stage in STAGES.items():
        if name in names:
            train_stage(run, stage)
        elif finished_path(run.folder, name).exists():
            state = torch.load(finished_path(run.folder, name), weights_only=True, map_location="cpu")
            stage.network(run).load_state_dict(state)
    if run.group.rank == 0:
        model = run.model
        metadata = replace(model.metadata, provenance=describe_provenance(run, names))
        write_model(target, AutoDIR(model.networks, model.config, metadata), run.recipe.save_precision)
    run.group.barrier()
    return target


def train_stage(run: TrainingRun, stage: Stage) -> None:
    """Train the network of one stage, in place, and keep it for the stages that build on it."""
    network, config = stage.network(run), run.recipe.train_config(stage.name)
    group, folder = run.group, run.folder
    if run.from_scratch and not (folder / f"{stage.name}.pt").exists():
        stage.initialize(run)
    objective = stage.objective(run)
    if config.steps and group.rank == 0:
        notify_memory(run, stage, objective)
    logger = TrainingLogger(folder, stage.name, config.log_every, tensorboard=run.tensorboard)
    grids = SampleGrids(lambda: stage.sample_grid(run), logger, every=config.sample_every, steps=config.steps)
    workers, callbacks = run.num_workers, [logger, grids]
    train(stage.name, network, objective, config, folder, group=group, callbacks=callbacks, num_workers=workers)
    stage.finalize(run)
    if group.rank == 0:
        path = finished_path(folder, stage.name)
        with atomic_path(path) as temporary, explain_write(path, RuntimeError):
            torch.save(network.state_dict(), temporary)


def notify_memory(run: TrainingRun, stage: Stage, objective: Objective) -> None:
    """Tell the user what a stage will need."""
    network, config = stage.network(run), run.recipe.train_config(stage.name)
    unfreeze(network, config.trainable_prefixes)  # activations depend on what is trained
    memory = estimate_memory(run.model.networks, network, objective, config, run.group)
    run.notify(f"{stage.name}: {describe_memory(memory, run.group.device)}")


def finished_path(folder: Path, name: str) -> Path:
    """Return where the trained network of a finished stage is kept."""
    return folder / f"{name}-final.pt"


def check_needs(names: Sequence[str], folder: Path) -> None:
    """Raise InputError where a stage needs one that is neither to be trained nor finished in the folder."""
    for name in names:
        for needed in STAGES[name].needs:
            if needed not in names and not finished_path(folder, needed).is_file():
                raise InputError(
                    f"{name} builds on {needed}, which is not trained in {folder}; train it first, or give --model"
                )


def describe_provenance(run: TrainingRun, names: Sequence[str]) -> str:
    """Return the provenance of the written file: that of the model before, then what was trained on which pictures."""
    data = run.recipe.data
    kinds = {"procedural pictures": data.scenes, "photographs": data.photos, "pairs": data.pairs}
    pictures = " and ".join(kind for kind, given in kinds.items() if given)
    before = run.model.metadata.provenance
    if run.from_scratch:
        return f"{before or 'trained by autodir_lab.training'} on {pictures}"
    now = f"training of {', '.join(names)} continued by autodir_lab.training on {pictures}"
    return f"{before}; {now}" if before else now
