"""Class-incremental fine-tuning: a model learns one more degradation, its label, prompt and restoration.

The known labels are replayed in every batch, and the assessment is distilled from what it was before.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from autodir_core.errors import InputError
from autodir_core.labels import CLEAN
from autodir_core.model import AutoDIR

from .data.prepare_data import match_names, prepare_pairs
from .data.sources import PairSource, TrainingData, load_sources
from .data.synthetic import SYNTHETIC, Degradation, degrade_with_depth
from .objectives.biqa import Teacher, cosine_logits_fn
from .pipeline import TrainingRun, train_stages
from .recipes.recipe import Recipe

TUNED_STAGES = ("biqa", "ldm", "scm")
"""The text tower and the autoencoder serve the new label as they are."""


@dataclass(frozen=True)
class NewLabel:
    """A label to add, and where examples of it come from.

    Args:
        label: its name, used in the prompt "A photo needs {label} artifact reduction".
        pairs: a folder with `degraded` and `clean`, pictures of the same names.
        degradation: a name that `degrade/` knows, applied to clean pictures; this or pairs.
    """

    label: str
    pairs: Path | None = None
    degradation: str | None = None

    def __post_init__(self) -> None:
        if not self.label or self.label != " ".join(self.label.split()) or "," in self.label:
            raise InputError(f"a label is one line of words without commas, got {self.label!r}")
        if (self.pairs is None) == (self.degradation is None):
            raise InputError(f"give either pairs or a degradation as examples of {self.label!r}")


def load_data_with(new: NewLabel, model: AutoDIR, recipe: Recipe, folder: Path) -> TrainingData:
    """Return the recipe's data with examples of the new label and those that replay the known ones.

    Raises InputError for a label that the model knows already, and for known labels without examples.
    """
    labels = check_new_label(new, model.labels)
    degradations: Mapping[str, Degradation] = SYNTHETIC
    if new.degradation is not None:
        degradations = {**SYNTHETIC, new.label: partial(degrade_with_depth, new.degradation)}
    sources = load_sources(recipe.data, labels, folder, seed=recipe.seed, degradations=degradations)
    if new.pairs is not None:
        sources.append(PairSource({new.label: prepare_pairs(folder, new.pairs)}))
    return TrainingData(labels, tuple(sources), new_label=new.label)


def check_new_label(new: NewLabel, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels with the new one; InputError where it is known already or a picture of it has no pair."""
    if new.pairs is not None:
        match_names(new.pairs)
    return insert_label(new.label, known)


def insert_label(label: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels with a new one before "no"; InputError for one of them."""
    if label in known:
        raise InputError(f"this model knows {label!r} already; its labels: {', '.join(known)}")
    return (*(old for old in known if old != CLEAN), label, CLEAN)


def add_label(run: TrainingRun, target: Path) -> Path:
    """Fine-tune assessment, diffusion and correction to a new label; write the model and return its path.

    Args:
        run: a training that is not from scratch, with data from `load_data_with`; its model's networks are changed.
        target: the file to write.
    """
    model = run.model
    former = deepcopy(model.networks.clip)
    teacher = Teacher(former, cosine_logits_fn(former, model.labels))
    extended = AutoDIR(model.networks, model.config, replace(model.metadata, labels=run.data.labels))
    return train_stages(replace(run, model=extended, teacher=teacher), TUNED_STAGES, target)
