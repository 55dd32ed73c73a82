"""Trains the parts of a model one after another and writes the file: what the command `train` does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from autodir_core.errors import InputError
from autodir_core.imaging.paths import atomic_path
from autodir_core.model import AutoDIR

from .data.crops import SYNTHETIC, CleanSource, Data, Degradation, PairSource, Source
from .data.prepare_data import cached_pairs, cached_photos, cached_scenes
from .engine.distributed import ProcessGroup, SingleProcess
from .engine.export import write_model
from .engine.logger import SampleGrids, TrainingLogger
from .engine.loop import Objective, train
from .engine.memory import describe_memory, estimate_memory
from .engine.sample_grid import SHEETS
from .engine.state import unfreeze
from .init.linear_codec import start_autoencoder, start_diffusion
from .objectives.biqa import Former, biqa_objective, keep_all_tokens
from .objectives.ldm import ldm_objective
from .objectives.scm import scm_objective
from .objectives.vae import scale_latents, vae_objective
from .recipes import PARTS, Recipe, Sources

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """What the training of all parts shares.

    Args:
        model: the networks, in float32 on the device of the processes.
        data: its pictures.
        recipe: lengths, crops and losses.
        folder: holds checkpoints, logs, sheets and the finished parts; an interrupted training goes on from there.
        fresh: whether the networks begin from nothing, instead of going on from a file.
        before: the assessment before a label is taught; None where none is.
        group: the processes that take part.
        tensorboard: whether TensorBoard gets the losses and sheets too.
        tell: is called with lines for the user.
    """

    model: AutoDIR
    data: Data
    recipe: Recipe
    folder: Path
    fresh: bool
    before: Former | None = None
    group: ProcessGroup = SingleProcess()
    tensorboard: bool = False
    tell: Callable[[str], None] = logger.info


def gather_data(sources: Sources, labels: tuple[str, ...], folder: Path, *, seed: int = 0) -> Data:
    """The pictures of a recipe under the labels of a model; InputError where there is none for a label."""
    return Data(labels, tuple(gather_sources(sources, labels, folder, seed=seed)))


def gather_sources(
    sources: Sources,
    labels: tuple[str, ...],
    folder: Path,
    *,
    seed: int = 0,
    degradations: Mapping[str, Degradation] = SYNTHETIC,
) -> list[Source]:
    """The sources of a recipe, cut into squares in `folder` once; InputError where a folder is not what it should be.

    Args:
        sources: the recipe's.
        labels: those that pairs may have.
        folder: of the caches.
        seed: of the scenes.
        degradations: what clean pictures are degraded with, by label.
    """
    found: list[Source] = []
    if sources.scenes:
        scenes = cached_scenes(folder, sources.scenes, seed=seed)
        found.append(CleanSource(scenes, sources.scenes_share, degradations))
    if sources.photos:
        found.append(CleanSource(cached_photos(folder, Path(sources.photos)), sources.photos_share, degradations))
    if sources.pairs:
        found.append(PairSource(paired_labels(Path(sources.pairs), labels, folder), sources.pairs_share))
    if not found:
        raise InputError("there is nothing to train on: give --photos, --pairs, or a recipe with scenes")
    return found


def paired_labels(pairs: Path, labels: Sequence[str], folder: Path) -> dict[str, np.ndarray]:
    """The pairs of each label that has a folder, "low_resolution" for "low resolution"."""
    if not pairs.is_dir():
        raise InputError(f"{pairs} is no folder; pairs lie in LABEL/degraded and LABEL/clean below it")
    places = {place.name.replace("_", " "): place for place in sorted(pairs.iterdir()) if place.is_dir()}
    for label, place in places.items():
        if label not in labels:
            raise InputError(f"{place} belongs to no label of this model; it knows: {', '.join(labels)}")
    if not places:
        raise InputError(f"{pairs} holds no folder of a label; pairs lie in LABEL/degraded and LABEL/clean")
    return {label: cached_pairs(folder, place) for label, place in places.items()}


def train_parts(training: Training, parts: Sequence[str], target: Path) -> Path:
    """Train the named parts in the order of `PARTS` and write the whole model; the path of the file.

    Parts that are not named keep what the folder holds of them, or else what the model began with.
    """
    for part in PARTS:
        if part in parts:
            train_part(training, part)
        elif done_path(training, part).exists():
            state = torch.load(done_path(training, part), weights_only=True, map_location="cpu")
            network_of(training.model, part).load_state_dict(state)
    if training.group.rank == 0:
        model, recipe = training.model, training.recipe
        metadata = replace(model.metadata, provenance=provenance(training, parts))
        write_model(target, AutoDIR(model.networks, model.config, metadata), recipe.store)
    training.group.barrier()
    return target


def train_part(training: Training, part: str) -> None:
    """Train one part, in place, and keep it for the parts that build on it."""
    model, recipe, group = training.model, training.recipe, training.group
    network, plan = network_of(model, part), recipe.loop(part)
    if training.fresh and not (training.folder / f"{part}.pt").exists():
        begin(training, part)
    objective, size = OBJECTIVES[part](training), crop_size(recipe, part)
    unfreeze(network, plan.trainable_prefixes)
    if plan.steps and group.rank == 0:
        memory = estimate_memory(model.networks, network, objective, plan, group)
        training.tell(f"{part}: {describe_memory(memory, group.device)}")
    logger = TrainingLogger(training.folder, part, plan.log_every, tensorboard=training.tensorboard)
    grids = SampleGrids(
        lambda: SHEETS[part](model, training.data, size), logger, every=plan.sample_every, steps=plan.steps
    )
    train(part, network, objective, plan, training.folder, group=group, callbacks=[logger, grids])
    finish(training, part)


def network_of(model: AutoDIR, part: str) -> nn.Module:
    networks = model.networks
    return {"biqa": networks.clip, "vae": networks.vae, "ldm": networks.unet, "scm": networks.scm}[part]


def crop_size(recipe: Recipe, part: str) -> int:
    plans = {"biqa": recipe.biqa_data, "vae": recipe.vae_data, "ldm": recipe.ldm_data, "scm": recipe.scm_data}
    return plans[part].crops.size


def done_path(training: Training, part: str) -> Path:
    return training.folder / f"{part}-done.pt"


def begin(training: Training, part: str) -> None:
    """Give a new network the start that knows something, where it has one that needs pictures."""
    model, data, recipe = training.model, training.data, training.recipe
    if part == "vae":
        start_autoencoder(model.networks.vae, data, steps=recipe.start.codec_steps, seed=recipe.seed)
    if part == "ldm":
        scale = model.metadata.latent_scale
        start_diffusion(model.networks.unet, model.networks.vae, data, scale=scale, seed=recipe.seed)


def finish(training: Training, part: str) -> None:
    """Leave a trained network as every consumer expects it, and keep it for the parts that build on it."""
    model = training.model
    if part == "biqa":
        keep_all_tokens(model.networks.clip)
    if part == "vae" and training.fresh:
        scale_latents(model.networks.vae, training.data, 1 / model.metadata.latent_scale, seed=training.recipe.seed)
    if training.group.rank == 0:
        with atomic_path(done_path(training, part)) as temporary:
            torch.save(network_of(model, part).state_dict(), temporary)


def provenance(training: Training, parts: Sequence[str]) -> str:
    """What the written file tells about its making, after what the file that it began as tells."""
    data = training.recipe.data
    kinds = {"procedural pictures": data.scenes, "photographs": data.photos, "pairs": data.pairs}
    pictures = " and ".join(kind for kind, given in kinds.items() if given)
    before = training.model.metadata.provenance
    if training.fresh:
        return f"{before or 'trained by autodir_lab.training'} on {pictures}"
    now = f"{', '.join(parts)} trained on by autodir_lab.training with {pictures}"
    return f"{before}; {now}" if before else now


def assessment_objective(training: Training) -> Objective:
    recipe = training.recipe
    full_from = round(recipe.biqa.steps * (1 - recipe.biqa_data.full))
    return biqa_objective(
        training.model.networks.clip, training.data, recipe.biqa_data, full_from=full_from, before=training.before
    )


def autoencoder_objective(training: Training) -> Objective:
    return vae_objective(training.model.networks.vae, training.data, training.recipe.vae_data)


def diffusion_objective(training: Training) -> Objective:
    model = training.model
    return ldm_objective(
        model.networks.unet,
        model.networks.vae,
        model.prompts(model.labels).states.clone(),
        model.null_text.clone(),
        data=training.data,
        plan=training.recipe.ldm_data,
        scale=model.metadata.latent_scale,
    )


def correction_objective(training: Training) -> Objective:
    # channels last: three times as fast on a CPU, the same numbers
    training.model.networks.scm.to(memory_format=torch.channels_last)
    return scm_objective(training.model, training.data, training.recipe.scm_data)


OBJECTIVES: Mapping[str, Callable[[Training], Objective]] = {
    "biqa": assessment_objective,
    "vae": autoencoder_objective,
    "ldm": diffusion_objective,
    "scm": correction_objective,
}
