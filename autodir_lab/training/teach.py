"""Teaches a model one more degradation: a label with its prompt, how to recognise it and how to restore it.

Replay keeps the old labels: every batch shows them too, and the assessment stays with the answers that it gave before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from autodir_core.errors import InputError
from autodir_core.labels import CLEAN
from autodir_core.model import AutoDIR

from .data.crops import SYNTHETIC, Data, Degradation, PairSource, synthetic
from .data.prepare_data import cached_pairs
from .engine.distributed import ProcessGroup
from .objectives.biqa import Former, cosine_answer
from .recipes import Recipe
from .stages import Training, gather_sources, train_parts

TAUGHT = ("biqa", "ldm", "scm")
"""What learns; the text tower and the autoencoder serve the new label as they are."""


@dataclass(frozen=True)
class Lesson:
    """A new label and what shows it.

    Args:
        label: its name, which the prompt "A photo needs {label} artifact reduction" puts into words.
        pairs: a folder with `degraded` and `clean`, pictures of the same names.
        degradation: a name that `degrade/` knows, made on clean pictures; this or pairs.
    """

    label: str
    pairs: Path | None = None
    degradation: str | None = None

    def __post_init__(self) -> None:
        if not self.label or self.label != " ".join(self.label.split()) or "," in self.label:
            raise InputError(f"a label is one line of words without commas, got {self.label!r}")
        if (self.pairs is None) == (self.degradation is None):
            raise InputError(f"{self.label!r} is shown either by pairs or by a degradation that can be made")


def gather_lesson(lesson: Lesson, model: AutoDIR, recipe: Recipe, folder: Path) -> Data:
    """The pictures of a lesson: what shows the new label, and clean ones whose damages replay the old labels.

    Raises InputError for a label that the model knows already, and for old labels that nothing replays.
    """
    labels = labels_with(lesson.label, model.labels)
    made: Mapping[str, Degradation] = SYNTHETIC
    if lesson.degradation is not None:
        made = {**SYNTHETIC, lesson.label: partial(synthetic, lesson.degradation)}
    found = gather_sources(recipe.data, labels, folder, seed=recipe.seed, degradations=made)
    if lesson.pairs is not None:
        found.append(PairSource({lesson.label: cached_pairs(folder, lesson.pairs)}))
    return Data(labels, tuple(found), new=lesson.label)


def labels_with(label: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The labels with a new one before "no"."""
    if label in known:
        raise InputError(f"this model knows {label!r} already; its labels: {', '.join(known)}")
    return (*(old for old in known if old != CLEAN), label, CLEAN)


def teach(
    model: AutoDIR,
    data: Data,
    recipe: Recipe,
    folder: Path,
    target: Path,
    *,
    group: ProcessGroup,
    tensorboard: bool = False,
    tell: Callable[[str], None],
) -> Path:
    """Tune assessment, diffusion and correction to the data's new label and write the model that knows it.

    Args:
        model: what learns, in float32; its networks are changed.
        data: from `gather_lesson`.
        recipe: lengths, learning rates and shares.
        folder: holds checkpoints and logs; an interrupted lesson goes on from there.
        target: the file to write.
        group: the processes that take part.
        tensorboard: whether TensorBoard gets losses and sheets too.
        tell: is called with lines for the user.
    """
    former = deepcopy(model.networks.clip)
    taught = AutoDIR(model.networks, model.config, replace(model.metadata, labels=data.labels))
    training = Training(
        taught,
        data,
        recipe,
        folder,
        fresh=False,
        before=Former(former, cosine_answer(former, model.labels)),
        group=group,
        tensorboard=tensorboard,
        tell=tell,
    )
    return train_parts(training, TAUGHT, target)
