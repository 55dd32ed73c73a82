"""Objective of BIQA's vision tower: name the degradation, and do not see it in the ground truth (paper section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from autodir_core.labels import CLEAN
from autodir_core.networks.build import vision_image_size
from autodir_core.stages.biqa import clip_pixels, encode_prompts

from ..data.augment import apply_web
from ..data.crops import CropConfig
from ..data.dataset import Batch, MicroBatch, PairDataset
from ..data.sources import TrainingData
from ..data.synthetic import ALIKE
from .losses import Losses, Objective, fidelity_loss, semantic_agnostic_loss
from .patch_dropout import PatchDropout, add_patch_dropout, sample_patches

if TYPE_CHECKING:
    from open_clip import CLIP

REFERENCE_EVERY = 4
"""Every `REFERENCE_EVERY`-th picture of a batch is joined by its ground truth."""

MAX_LOGIT_SCALE = math.log(100)
"""CLIP's own limit."""


LogitsFn = Callable[[Tensor], Tensor]
"""Images [B, H, W, 3], 0..1 -> logits [B, L]."""


@dataclass(frozen=True)
class Teacher:
    """The assessment before a label is added.

    Attributes:
        clip: a frozen copy.
        logits_fn: gives its logits over the labels that it knows.
    """

    clip: CLIP
    logits_fn: LogitsFn


@dataclass(frozen=True)
class BIQAObjectiveConfig:
    """Pictures and losses of a training of the assessment.

    Args:
        crops: how crops are drawn; their side is the vision tower's own. A quarter as many ground truths are added.
        patch_keep_ratio: fraction of a picture's patches that the tower sees in training, which saves time.
        patch_blocks: sides, in patches, of the square blocks in which patches are kept, one drawn for each picture. In
            larger ones the tower sees neighbors together, and so the outlines of drops and strokes.
        unmasked_fraction: fraction of the steps, the last ones, in which it sees all of them.
        fidelity_weight: of the paper's loss.
        cross_entropy_weight: of a loss that helps networks without pretraining; 0 officially.
        label_smoothing: of the cross entropy, spread over all labels.
        neighbor_smoothing: of the cross entropy, what of a picture's target goes to the other label of `ALIKE`.
        semantic_agnostic_weight: of the paper's term on the ground truths.
        distillation_weight: of the loss that keeps the teacher's probabilities, on pictures without the new label.
    """

    crops: CropConfig = CropConfig(224, clean_fraction=0.125)
    patch_keep_ratio: float = 1.0
    patch_blocks: tuple[int, ...] = (1,)
    unmasked_fraction: float = 0.02
    fidelity_weight: float = 1.0
    cross_entropy_weight: float = 0.0
    label_smoothing: float = 0.05
    neighbor_smoothing: float = 0.0
    semantic_agnostic_weight: float = 1.0
    distillation_weight: float = 0.0


def biqa_objective(
    clip: CLIP,
    data: TrainingData,
    config: BIQAObjectiveConfig,
    *,
    unmasked_from: int,
    logits_fn: LogitsFn | None = None,
    teacher: Teacher | None = None,
) -> Objective:
    """Return the objective of the assessment.

    Args:
        clip: is trained; its vision tower gets a patch dropout, until `remove_patch_dropout`.
        data: sources and labels.
        config: crops and weights of the losses.
        unmasked_from: first step in which the tower sees all patches.
        logits_fn: gives the logits; None is CLIP's way, the cosine with each label's prompt.
        teacher: for `distillation_weight`; it sees the same patches of the same pictures (Beyer et al. 2022).
    """
    logits_fn = logits_fn or cosine_logits_fn(clip, data.labels)
    dataset, dropout = PairDataset(data, config.crops), PatchDropout()
    for tower in (clip, teacher.clip) if teacher else (clip,):
        add_patch_dropout(tower, dropout)
    clean = data.labels.index(CLEAN)
    targets = smooth_neighbors(data.labels, config.neighbor_smoothing)

    def losses(micro: MicroBatch, batch: Batch) -> Losses:
        batch = batch.to(clip.logit_scale.device)
        rows = [row for row, index in enumerate(micro.indices) if index % REFERENCE_EVERY == 0]
        references = publish_references(batch.clean[rows], micro, rows, config.crops.augmentation.web)
        keep_ratio = 1.0 if micro.step >= unmasked_from else config.patch_keep_ratio
        patches = None if keep_ratio == 1 else sample_patches(clip, micro, rows, keep_ratio, config.patch_blocks)
        with dropout.keep_only(patches):
            logits = logits_fn(torch.cat([batch.degraded, references]))
            probabilities = teacher_probabilities(batch, data, teacher.logits_fn) if teacher else None
        labels = torch.cat([batch.labels, torch.full_like(batch.labels[rows], clean)])
        classification = classification_losses(logits, labels, targets.to(logits), config.label_smoothing)
        weight = len(logits) / (micro.batch_size + len(range(0, micro.batch_size, REFERENCE_EVERY)))
        degraded = sum(label != CLEAN for label in dataset.draw_labels(micro)[::REFERENCE_EVERY])
        agnostic = agnostic_sum(logits[len(batch.labels) :].softmax(dim=1), batch.labels[rows], clean)
        found = {
            "fidelity": config.fidelity_weight * weight * classification["fidelity"],
            "cross_entropy": config.cross_entropy_weight * weight * classification["cross_entropy"],
            "semantic_agnostic": config.semantic_agnostic_weight * agnostic / max(degraded, 1),
        }
        if probabilities is not None:
            distillation = distillation_loss(logits[: len(probabilities)], probabilities, batch, data)
            found["distillation"] = config.distillation_weight * micro.weight * distillation
        return found

    return Objective(dataset, losses)


def publish_references(clean: Tensor, micro: MicroBatch, rows: Sequence[int], probability: float) -> Tensor:
    """Do to ground truths [R, S, S, 3] what the web does to the degraded pictures, as often.

    Without it compression would tell against "no".
    """
    rngs = (rng for row, rng in enumerate(micro.pictures.rngs("published reference")) if row in rows)
    published = [
        apply_web(image.cpu(), rng).to(clean) if rng.random() < probability else image
        for image, rng in zip(clean, rngs, strict=True)
    ]
    return torch.stack(published) if published else clean


def classification_losses(logits: Tensor, labels: Tensor, targets: Tensor, label_smoothing: float) -> Losses:
    """Return fidelity loss and cross entropy of logits [N, L] under labels [N], mean over the pictures.

    The cross entropy is with the label's row of `targets` [L, L], smoothed over all labels.
    """
    one_hot = nn.functional.one_hot(labels, logits.shape[1]).float()
    return {
        "fidelity": fidelity_loss(logits.softmax(dim=1), one_hot),
        "cross_entropy": nn.functional.cross_entropy(logits, targets[labels], label_smoothing=label_smoothing),
    }


def smooth_neighbors(labels: Sequence[str], smoothing: float) -> Tensor:
    """Return the target [L, L] of each label: `smoothing` of it is the other label of `ALIKE`, where it has one."""
    targets = torch.eye(len(labels))
    alike = [index for index, label in enumerate(labels) if label in ALIKE]
    if len(alike) == len(ALIKE):
        rows = torch.tensor(alike)
        targets[rows, rows], targets[rows, rows.flip(0)] = 1 - smoothing, smoothing
    return targets


def agnostic_sum(probabilities: Tensor, labels: Tensor, clean: int) -> Tensor:
    """Return the sum of the semantic-agnostic terms on ground truths [R, L] of pictures labeled [R].

    Pictures under the label `clean` have no such term.
    """
    degraded = labels != clean
    if not degraded.any():
        return probabilities.new_zeros(())
    return semantic_agnostic_loss(probabilities[degraded], labels[degraded]) * degraded.sum()


@torch.no_grad()
def teacher_probabilities(batch: Batch, data: TrainingData, logits_fn: LogitsFn) -> Tensor:
    """Return the teacher's probabilities [B, L] over all labels, 0 for the new one."""
    probabilities = torch.zeros(len(batch.labels), len(data.labels), device=batch.labels.device)
    probabilities[:, [label != data.new_label for label in data.labels]] = logits_fn(batch.degraded).softmax(dim=1)
    return probabilities


def distillation_loss(logits: Tensor, probabilities: Tensor, batch: Batch, data: TrainingData) -> Tensor:
    """Return the cross entropy of logits [B, L] with the teacher's probabilities, mean over the batch.

    Learning without forgetting (Li and Hoiem 2016); pictures of the new label count 0.
    """
    known = batch.labels != data.labels.index(data.new_label)
    return (nn.functional.cross_entropy(logits, probabilities, reduction="none") * known).mean()


def cosine_logits_fn(clip: CLIP, labels: Sequence[str]) -> LogitsFn:
    """Return the assessment's own logits, for a frozen text tower: cosines with the prompts of the labels."""
    prompts = label_embeddings(clip, labels)
    return lambda images: label_logits(clip, images, prompts)


@torch.no_grad()
def label_embeddings(clip: CLIP, labels: Sequence[str]) -> Tensor:
    """Return the unit embeddings [L, E] of the label prompts."""
    return encode_prompts(clip, tuple(labels)).embeddings


def label_logits(clip: CLIP, images: Tensor, prompts: Tensor) -> Tensor:
    """Return logits [B, L] of images [B, H, W, 3] over the unit embeddings [L, E] of the label prompts."""
    embeddings = clip.encode_image(clip_pixels(images, vision_image_size(clip)), normalize=True)
    return (clip.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp() * embeddings @ prompts.T).float()
