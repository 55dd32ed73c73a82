"""Recognition as a plain classifier, as CLIP with the classification loss, and with the semantic-agnostic term.

The paper's table of the assessment (section 4.3) with networks of the mini model's size: all three kinds have the same
vision tower and start, and see the same pictures in the same order for the same number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from autodir_core.labels import CLEAN
from autodir_core.model import AutoDIR
from autodir_core.networks.build import vision_side
from autodir_core.stages.biqa import clip_pixels

from ..evaluation import Protocol
from ..evaluation.protocol import crops, damaged
from ..training.data.crops import Data
from ..training.engine.loop import train
from ..training.objectives.biqa import Answer, biqa_objective, cosine_answer, keep_all_tokens
from ..training.recipes import Recipe, start_model

KINDS = ("classifier", "classification loss", "semantic-agnostic term")
"""A plain ViT classifier; CLIP with the classification loss alone; CLIP with the semantic-agnostic term too."""

ALL_TOKENS = 0.95
"""From this share of its steps on a training shows all tokens; before that, the recipe's share of them."""


@dataclass(frozen=True)
class RecognitionPlan:
    """How the three kinds are trained and measured.

    Args:
        steps: of each training.
        seeds: one training of each kind per seed.
        severity: of the test pictures, 0..1.
        crops: of each test photo.
    """

    steps: int = 250
    seeds: tuple[int, ...] = (0, 1, 2)
    severity: float = 0.5
    crops: int = 2


@dataclass(frozen=True)
class Recognised:
    """What one training reached: shares 0..1 of right labels, and of clean crops taken for degraded ones."""

    kind: str
    seed: int
    accuracy: float
    false_alarms: float


class Classifier(nn.Module):
    """CLIP's vision tower under a linear layer over the labels: no text, no cosine."""

    def __init__(self, model: AutoDIR) -> None:
        super().__init__()
        self.clip = model.networks.clip
        self.head = nn.Linear(model.config.clip.embedding, len(model.labels))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, L] of pictures [B, H, W, 3]."""
        return self.head(self.clip.encode_image(clip_pixels(images, vision_side(self.clip)), normalize=False)).float()


def recognition_study(
    recipe: Recipe,
    data: Data,
    photos: Mapping[str, Tensor],
    plan: RecognitionPlan,
    folder: Path,
    *,
    on_result: Callable[[Recognised], object] = lambda result: None,
) -> list[Recognised]:
    """Train every kind with every seed and measure each on photographs.

    Args:
        recipe: sizes, crops and learning rate of the assessment; the classification loss is its cross entropy and the
            paper's fidelity loss, for the classifier the cross entropy alone.
        data: what all of them are trained on.
        photos: clean [1, H, W, 3] in 0..1 by name, at least as large as a crop.
        plan: what is measured.
        folder: holds the trainings; an interrupted study goes on from there.
        on_result: called after each training.
    """
    results = []
    for seed in plan.seeds:
        for kind in KINDS:
            model = start_model(replace(recipe, seed=seed))
            answer = trained(model, recipe, kind, data, folder / f"{kind} {seed}", steps=plan.steps, seed=seed)
            results.append(measured(answer, model.labels, photos, plan, kind=kind, seed=seed))
            on_result(results[-1])
    return results


def trained(model: AutoDIR, recipe: Recipe, kind: str, data: Data, folder: Path, *, steps: int, seed: int) -> Answer:
    """Train one kind on a freshly begun model."""
    clip, plain = model.networks.clip, kind == "classifier"
    network = Classifier(model) if plain else clip
    answer = network if plain else cosine_answer(clip, model.labels)
    losses = {"fidelity": 0.0, "semantic_agnostic": 0.0} if plain else {}
    if kind == "classification loss":
        losses = {"semantic_agnostic": 0.0}
    plan = replace(recipe.biqa_data, **losses)
    prefix = "clip." if plain else ""
    parts = (*(prefix + name for name in recipe.biqa.trainable_prefixes), *(("head",) if plain else ()))
    warmup = min(recipe.biqa.warmup_steps, steps // 10)
    loop = replace(recipe.biqa, steps=steps, seed=seed, trainable_prefixes=parts, warmup_steps=warmup)
    objective = biqa_objective(clip, data, plan, full_from=int(ALL_TOKENS * steps), answer=answer)
    train("biqa", network, objective, loop, folder)
    keep_all_tokens(clip)
    return answer


@torch.no_grad()
def measured(
    answer: Answer,
    labels: tuple[str, ...],
    photos: Mapping[str, Tensor],
    plan: RecognitionPlan,
    *,
    kind: str,
    seed: int,
) -> Recognised:
    """Ask about every crop with every degradation, and without one."""
    protocol = Protocol(crops=plan.crops, severity=plan.severity)
    right: dict[str, list[bool]] = {label: [] for label in labels}
    for name, number, clean in crops(photos, protocol):
        for label in labels:
            seen = labels[int(answer(damaged(clean, label, f"{name} {number}", protocol)).argmax())]
            right[label].append(seen == label)
    hits = [hit for of_label in right.values() for hit in of_label]
    return Recognised(kind, seed, sum(hits) / len(hits), 1 - sum(right[CLEAN]) / len(right[CLEAN]))
