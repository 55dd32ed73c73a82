"""Train the stages of a model one after another and writes the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from autodir_core.errors import InputError
from autodir_core.model import AutoDIR
from autodir_core.serialization.atomic import atomic_path

from .engine.callbacks import SampleGrids, TrainingLogger
from .engine.export import write_model
from .engine.loop import train
from .engine.memory import describe_memory, estimate_memory
from .engine.state import unfreeze
from .objectives.losses import Objective
from .stages import STAGES, Stage, TrainingRun


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
    if run.from_scratch and not (run.folder / f"{stage.name}.pt").exists():
        stage.initialize(run)
    objective = stage.objective(run)
    if config.steps and run.group.rank == 0:
        notify_memory(run, stage, objective)
    logger = TrainingLogger(run.folder, stage.name, config.log_every, tensorboard=run.tensorboard)
    grids = SampleGrids(lambda: stage.sample_grid(run), logger, every=config.sample_every, steps=config.steps)
    train(
        stage.name,
        network,
        objective,
        config,
        run.folder,
        group=run.group,
        callbacks=[logger, grids],
        num_workers=run.num_workers,
    )
    stage.finalize(run)
    if run.group.rank == 0:
        with atomic_path(finished_path(run.folder, stage.name)) as temporary:
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
