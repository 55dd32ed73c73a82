"""Recognition as a plain classifier, as CLIP with the classification loss, and with the semantic-agnostic term.

The paper's comparison of assessments (section 4.3) with networks of the mini model's size: all variants share the
vision tower and its initialization, and see the same pictures in the same order for the same number of steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from autodir_core.labels import CLEAN
from autodir_core.model import AutoDIR
from autodir_core.networks.build import vision_image_size
from autodir_core.stages.biqa import clip_pixels

from ..evaluation.protocol import Protocol, degrade_crop, random_crops
from ..training.data.sources import TrainingData
from ..training.engine.loop import train
from ..training.init.model import init_model
from ..training.objectives.biqa import LogitsFn, biqa_objective, cosine_logits_fn
from ..training.objectives.patch_dropout import remove_patch_dropout
from ..training.recipes.recipe import Recipe

VARIANTS = ("classifier", "classification loss", "semantic-agnostic term")
"""A plain ViT classifier; CLIP with the classification loss alone; CLIP with the semantic-agnostic term too."""

UNMASKED_FROM = 0.95
"""Fraction of the steps after which a training sees all tokens; until then, the recipe's fraction of them."""


@dataclass(frozen=True)
class RecognitionSettings:
    """How the variants are trained and measured.

    Args:
        steps: of each training.
        seeds: one training of each variant per seed.
        severity: of the test pictures, 0..1.
        crops: of each test photo.
    """

    steps: int = 250
    seeds: tuple[int, ...] = (0, 1, 2)
    severity: float = 0.5
    crops: int = 2


@dataclass(frozen=True)
class RecognitionResult:
    """Accuracy of one training, and the fraction of clean crops that it takes for degraded ones, both 0..1."""

    variant: str
    seed: int
    accuracy: float
    false_positive_rate: float


class ViTClassifier(nn.Module):
    """CLIP's vision tower with a linear layer over the labels: no text, no cosine similarity."""

    def __init__(self, model: AutoDIR) -> None:
        super().__init__()
        self.clip = model.networks.clip
        self.head = nn.Linear(model.config.clip.embedding, len(model.labels))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, L] of images [B, H, W, 3]."""
        pixels = clip_pixels(images, vision_image_size(self.clip))
        return self.head(self.clip.encode_image(pixels, normalize=False)).float()


def ablate_recognition(
    recipe: Recipe, data: TrainingData, photos: Mapping[str, Tensor], settings: RecognitionSettings, folder: Path
) -> list[RecognitionResult]:
    """Train every variant with every seed and measure each on photographs.

    Args:
        recipe: sizes, crops and learning rate of the assessment; the classification loss is its cross entropy and the
            paper's fidelity loss, for the classifier the cross entropy alone.
        data: training set of all variants.
        photos: clean [1, H, W, 3] in 0..1 by name, at least as large as a crop.
        settings: of training and measurement.
        folder: holds the trainings; an interrupted ablation resumes from there.
    """
    results = []
    for seed in settings.seeds:
        for variant in VARIANTS:
            model = init_model(replace(recipe, seed=seed))
            logits_fn = train_variant(variant, model, recipe, data, folder / f"{variant} {seed}", settings.steps, seed)
            accuracy, false_positive_rate = measure_accuracy(logits_fn, model.labels, photos, settings)
            results.append(RecognitionResult(variant, seed, accuracy, false_positive_rate))
    return results


def train_variant(
    variant: str, model: AutoDIR, recipe: Recipe, data: TrainingData, folder: Path, steps: int, seed: int
) -> LogitsFn:
    """Train one variant on a freshly initialized model; return its logits as a function of images [B, H, W, 3]."""
    clip, is_classifier = model.networks.clip, variant == "classifier"
    network = ViTClassifier(model) if is_classifier else clip
    logits_fn = network if is_classifier else cosine_logits_fn(clip, model.labels)
    loss_weights = {"fidelity_weight": 0.0, "semantic_agnostic_weight": 0.0} if is_classifier else {}
    if variant == "classification loss":
        loss_weights = {"semantic_agnostic_weight": 0.0}
    plan = replace(recipe.biqa_objective, **loss_weights)
    prefixes = recipe.biqa.trainable_prefixes
    if is_classifier:
        prefixes = (*(f"clip.{name}" for name in prefixes), "head")
    warmup = min(recipe.biqa.warmup_steps, steps // 10)
    loop = replace(recipe.biqa, steps=steps, seed=seed, trainable_prefixes=prefixes, warmup_steps=warmup)
    objective = biqa_objective(clip, data, plan, unmasked_from=int(UNMASKED_FROM * steps), logits_fn=logits_fn)
    train("biqa", network, objective, loop, folder)
    remove_patch_dropout(clip)
    return logits_fn


@torch.no_grad()
def measure_accuracy(
    logits_fn: LogitsFn, labels: tuple[str, ...], photos: Mapping[str, Tensor], settings: RecognitionSettings
) -> tuple[float, float]:
    """Classify every crop under every label; return accuracy and false positive rate on clean crops."""
    protocol = Protocol(crops=settings.crops, severity=settings.severity)
    hits: dict[str, list[bool]] = {label: [] for label in labels}
    for name, number, clean in random_crops(photos, protocol):
        for label in labels:
            degraded = degrade_crop(clean, label, f"{name} {number}", protocol)
            hits[label].append(labels[int(logits_fn(degraded).argmax())] == label)
    all_hits = [hit for label_hits in hits.values() for hit in label_hits]
    return sum(all_hits) / len(all_hits), 1 - sum(hits[CLEAN]) / len(hits[CLEAN])
