"""Builds the training data that a recipe describes: its sources, cut into tiles once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autodir_core.errors import InputError

from .prepare_data import Tiles, prepare_pairs, prepare_photos, prepare_scenes
from .sources import CleanSource, PairSource, Source, TrainingData
from .synthetic import SYNTHETIC, Degradation


@dataclass(frozen=True)
class DataConfig:
    """Where the pictures come from; weights are relative, among the sources that are given.

    Args:
        scenes: how many procedural scenes are drawn; 0 for none.
        scenes_weight: how often a crop is of a scene.
        photos: a folder of clean photographs; "" for none.
        photos_weight: how often a crop is of a photograph.
        pairs: a folder with `<label>/degraded` and `<label>/clean`; "" for none.
        pairs_weight: how often a crop under such a label, or "no", is of the pairs.
    """

    scenes: int = 1600
    scenes_weight: float = 0.53
    photos: str = ""
    photos_weight: float = 0.47
    pairs: str = ""
    pairs_weight: float = 1.0


def load_data(config: DataConfig, labels: tuple[str, ...], folder: Path, *, seed: int = 0) -> TrainingData:
    """Return the pictures under the labels of a model; InputError where there is none for a label."""
    return TrainingData(labels, tuple(load_sources(config, labels, folder, seed=seed)))


def load_sources(
    config: DataConfig,
    labels: Sequence[str],
    folder: Path,
    *,
    seed: int = 0,
    degradations: Mapping[str, Degradation] = SYNTHETIC,
) -> list[Source]:
    """Return the sources, cut into tiles in `folder` once; InputError where a folder is not what it should be.

    Args:
        config: the recipe's.
        labels: those that pairs may have.
        folder: of the memory-mapped tiles.
        seed: of the scenes.
        degradations: applied to clean pictures, by label.
    """
    sources: list[Source] = []
    if config.scenes:
        scenes = prepare_scenes(folder, config.scenes, seed=seed)
        sources.append(CleanSource(scenes, config.scenes_weight, degradations))
    if config.photos:
        photos = prepare_photos(folder, Path(config.photos))
        sources.append(CleanSource(photos, config.photos_weight, degradations))
    if config.pairs:
        sources.append(PairSource(load_pairs(Path(config.pairs), labels, folder), config.pairs_weight))
    if not sources:
        raise InputError("there is nothing to train on: give --photos, --pairs, or a recipe with scenes")
    return sources


def load_pairs(pairs: Path, labels: Sequence[str], folder: Path) -> dict[str, Tiles]:
    """Return the pairs of each label that has a subfolder, "low_resolution" for "low resolution"."""
    if not pairs.is_dir():
        raise InputError(f"{pairs} is no folder; it should hold LABEL/degraded and LABEL/clean")
    places = {place.name.replace("_", " "): place for place in sorted(pairs.iterdir()) if place.is_dir()}
    for label, place in places.items():
        if label not in labels:
            raise InputError(f"{place} belongs to no label of this model; it knows: {', '.join(labels)}")
    if not places:
        raise InputError(f"{pairs} holds no folder of a label; it should hold LABEL/degraded and LABEL/clean")
    return {label: prepare_pairs(folder, place) for label, place in places.items()}
