"""Sources of training pairs: clean pictures that are degraded on the fly, and measured pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from autodir_core.errors import InputError
from autodir_core.imaging.paths import list_pictures
from autodir_core.labels import CLEAN, LABELS

from .augment import augment
from .crops import CropConfig, random_crop, random_flip, random_window
from .prepare_data import match_names, prepare_pairs, prepare_photos, prepare_scenes
from .synthetic import SYNTHETIC, Degradation, draw_synthetic_pair
from .tiles import LeftOut, MappedTiles, Tiles


@dataclass(frozen=True)
class DataConfig:
    """Where the pictures come from; weights are relative, among the sources that are given.

    Args:
        scenes: how many procedural scenes are drawn; 0 for none.
        scenes_weight: how often a crop is of a scene.
        photos: a folder of clean photographs; "" for none.
        photos_weight: how often a crop is of a photograph.
        negatives: a folder of pictures that only look degraded, such as paintings, drawn as "no" alone; "" for none.
        negatives_weight: how often a crop under "no" is of one.
        pairs: a folder with `<label>/degraded` and `<label>/clean`; "" for none.
        pairs_weight: how often a crop under such a label, or "no", is of the pairs.
    """

    scenes: int = 1600
    scenes_weight: float = 0.53
    photos: str = ""
    photos_weight: float = 0.47
    negatives: str = ""
    negatives_weight: float = 0.25
    pairs: str = ""
    pairs_weight: float = 1.0


@dataclass(frozen=True)
class CleanSource:
    """Clean tiles uint8 [N, 512, 512, 4] (color, depth), degraded on the fly.

    Like `PairSource` it `offers` labels, and `draw`s a clean crop [S, S, 3] and its degraded version, both in 0..1.
    `weight` is how often it is drawn from, relative to the other sources that offer the label.
    """

    tiles: Tiles
    weight: float = 1.0
    degradations: Mapping[str, Degradation] = field(default_factory=lambda: SYNTHETIC)

    @property
    def files(self) -> tuple[Tiles, ...]:
        """All that is drawn from."""
        return (self.tiles,)

    def offers(self, label: str) -> bool:
        return label == CLEAN or label in self.degradations

    def draw(self, label: str, config: CropConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        draw_crop = partial(random_crop, self.tiles, config.size, rng, config.max_downscale.get(label))
        crop = augment(draw_crop(), draw_crop, rng, config.augmentation)
        return draw_synthetic_pair(crop, label, self.degradations, config, rng)


@dataclass(frozen=True)
class PairSource:
    """Measured pairs by label, uint8 [N, 512, 512, 6] (degraded, clean); they are cropped and flipped, not changed."""

    tiles: Mapping[str, Tiles]
    weight: float = 1.0

    @property
    def files(self) -> tuple[Tiles, ...]:
        """All that is drawn from."""
        return tuple(self.tiles.values())

    def offers(self, label: str) -> bool:
        return label == CLEAN or label in self.tiles

    def draw(self, label: str, config: CropConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        owner = str(rng.choice(sorted(self.tiles))) if label == CLEAN else label
        pair = random_flip(random_window(self.tiles[owner], config.size, rng), rng)
        clean = pair[..., 3:]
        return clean, clean if label == CLEAN else pair[..., :3]


Source = CleanSource | PairSource
"""Gives training pairs of some labels."""


@dataclass(frozen=True)
class TrainingData:
    """The pictures of a training.

    Args:
        labels: the model's, in its order; "no" is among them.
        sources: together they offer every label.
        new_label: the label that is being added to a trained model, "" for none.

    Raises InputError for a label without a source.
    """

    labels: tuple[str, ...]
    sources: tuple[Source, ...]
    new_label: str = ""

    def __post_init__(self) -> None:
        if CLEAN not in self.labels:
            raise InputError(f"training needs the label {CLEAN!r} for clean pictures, got: {', '.join(self.labels)}")
        for label in self.labels:
            if not self.sources_of(label):
                raise InputError(f"no source offers {label!r}: give a folder of pairs for it, or a degradation")

    @property
    def left_out(self) -> list[LeftOut]:
        """The pictures of all sources that could not be used."""
        files = [tiles for source in self.sources for tiles in source.files]
        return [one for tiles in files if isinstance(tiles, MappedTiles) for one in tiles.left_out]

    def sources_of(self, label: str) -> list[Source]:
        """Return the sources that offer a label and have a weight."""
        return [source for source in self.sources if source.weight > 0 and source.offers(label)]

    def draw_pair(self, label: str, config: CropConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return a clean crop [S, S, 3] and its degraded version, from one of the label's sources."""
        sources = self.sources_of(label)
        weights = np.array([source.weight for source in sources])
        source = sources[int(rng.choice(len(sources), p=weights / weights.sum()))]
        return source.draw(label, config, rng)


def synthetic_data(tiles: Tiles, labels: Sequence[str] = LABELS) -> TrainingData:
    """Return clean tiles uint8 [N, 512, 512, 4] under the built-in degradations."""
    return TrainingData(tuple(labels), (CleanSource(tiles),))


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
    for folder_of_pictures in filter(None, (config.photos, config.negatives)):
        list_pictures([folder_of_pictures], recursive=True)  # refused before anything is drawn, as pairs are
    pairs = find_pairs(Path(config.pairs), labels) if config.pairs else {}
    sources: list[Source] = []
    if config.scenes:
        scenes = prepare_scenes(folder, config.scenes, seed=seed)
        sources.append(CleanSource(scenes, config.scenes_weight, degradations))
    if config.photos:
        photos = prepare_photos(folder, Path(config.photos))
        sources.append(CleanSource(photos, config.photos_weight, degradations))
    if config.negatives:
        sources.append(CleanSource(prepare_photos(folder, Path(config.negatives)), config.negatives_weight, {}))
    if pairs:
        tiles = {label: prepare_pairs(folder, place) for label, place in pairs.items()}
        sources.append(PairSource(tiles, config.pairs_weight))
    if not sources:
        raise InputError("there is nothing to train on: give --photos, --pairs, or a recipe with scenes")
    return sources


def find_pairs(pairs: Path, labels: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each label that has one, "low_resolution" for "low resolution"; InputError without pairs."""
    if not pairs.is_dir():
        raise InputError(f"{pairs} is no folder; it should hold LABEL/degraded and LABEL/clean")
    places = {place.name.replace("_", " "): place for place in sorted(pairs.iterdir()) if place.is_dir()}
    for label, place in places.items():
        if label not in labels:
            raise InputError(f"{place} belongs to no label of this model; it knows: {', '.join(labels)}")
    if not places:
        raise InputError(f"{pairs} holds no folder of a label; it should hold LABEL/degraded and LABEL/clean")
    for place in places.values():
        match_names(place)
    return places
