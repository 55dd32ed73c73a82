"""Trains the vision tower of BIQA: name the degradation, and do not see it in the ground truth (paper section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from autodir_core.labels import CLEAN
from autodir_core.networks.build import vision_side, vision_tower
from autodir_core.stages.biqa import clip_pixels

from ..data.crops import Batch, Crops, Data, draw_batch, draw_labels
from ..data.microbatch import MicroBatch
from ..engine.loop import Losses, Objective
from ..init.networks import label_embeddings
from .losses import fidelity_loss, semantic_agnostic_loss

if TYPE_CHECKING:
    from open_clip import CLIP

TRUTH_EVERY = 4
"""Of every so many pictures of a batch, one brings its ground truth along."""

Answer = Callable[[Tensor], Tensor]
"""Logits [B, L] of pictures [B, H, W, 3]."""

MAX_LOGIT_SCALE = math.log(100)
"""CLIP's own limit."""


@dataclass(frozen=True)
class Former:
    """The assessment as it was before a label is taught.

    Args:
        clip: a copy, which nothing trains.
        answer: its way to tell the labels that it knew apart.
    """

    clip: CLIP
    answer: Answer


@dataclass(frozen=True)
class BIQAPlan:
    """What a step of the assessment's training sees.

    Args:
        crops: how crops are drawn; their side is the vision tower's own. A quarter as many ground truths are added.
        keep: share of the tokens that is kept in training, which saves time.
        full: share of the steps, the last ones, that keep all.
        fidelity: weight of the paper's loss.
        cross_entropy: weight of a loss that helps networks without pretraining; 0 officially.
        semantic_agnostic: weight of the paper's term on the ground truths.
        remember: weight of giving the answers that were given before, on pictures without the label being taught.
    """

    crops: Crops = Crops(224, clean_share=0.125)
    keep: float = 1.0
    full: float = 0.02
    fidelity: float = 1.0
    cross_entropy: float = 0.0
    semantic_agnostic: float = 1.0
    remember: float = 0.0


class KeptTokens(nn.Module):
    """Stands where open_clip drops tokens: keeps the class token and, within `only`, those named there.

    One may stand in two towers, which then keep the same tokens of the same pictures.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: Tensor | None = None

    @contextmanager
    def only(self, kept: Tensor | None) -> Iterator[None]:
        """Keep the tokens `kept` [N, K] of up to N pictures, or all (None); outside all are kept, as sheets want it."""
        self.kept = kept
        try:
            yield
        finally:
            self.kept = None

    def forward(self, x: Tensor) -> Tensor:
        if self.kept is None:
            return x
        rows = torch.arange(len(x), device=x.device)[:, None]
        return torch.cat([x[:, :1], x[:, 1:][rows, self.kept[: len(x)].to(x.device)]], dim=1)


def biqa_objective(
    clip: CLIP,
    data: Data,
    plan: BIQAPlan,
    *,
    full_from: int,
    answer: Answer | None = None,
    before: Former | None = None,
) -> Objective:
    """The losses of one step.

    Args:
        clip: what is trained; its vision tower sees all tokens from step `full_from` on, and after `keep_all_tokens`.
        data: the pictures and their labels.
        plan: crops and weights of the losses.
        full_from: a number of a step.
        answer: how the labels are told apart; None is CLIP's way, the cosine with each label's prompt.
        before: the assessment before a label is taught, for `plan.remember`; it sees what the trained one sees, the
            same tokens of the same pictures (Beyer et al. 2022).
    """
    answer = answer or cosine_answer(clip, data.labels)
    dropout, clean = KeptTokens(), data.labels.index(CLEAN)
    vision_tower(clip).add_module("patch_dropout", dropout)
    if before is not None:
        vision_tower(before.clip).add_module("patch_dropout", dropout)
    device = clip.logit_scale.device

    def objective(micro: MicroBatch) -> Losses:
        batch = draw_batch(data, micro, plan.crops).to(device)
        rows = [row for row, number in enumerate(micro.indices) if number % TRUTH_EVERY == 0]
        share = 1.0 if micro.step >= full_from else plan.keep
        kept = None if share == 1 else kept_tokens(clip, micro, rows, share)
        with dropout.only(kept):
            logits = answer(torch.cat([batch.degraded, batch.clean[rows]]))
            told = told_before(batch, data, before.answer) if before else None
        truths = torch.full((len(rows),), clean, device=device)
        answers = answer_losses(logits, torch.cat([batch.labels, truths]))
        part = len(logits) / (micro.batch_size + len(range(0, micro.batch_size, TRUTH_EVERY)))
        spoiled = sum(label != CLEAN for label in draw_labels(data, micro, plan.crops)[::TRUTH_EVERY])
        agnostic = agnostic_sum(logits[len(batch.labels) :].softmax(dim=1), batch.labels[rows], clean)
        losses = {
            "fidelity": plan.fidelity * part * answers["fidelity"],
            "cross_entropy": plan.cross_entropy * part * answers["cross_entropy"],
            "semantic_agnostic": plan.semantic_agnostic * agnostic / max(spoiled, 1),
        }
        if told is not None:
            losses["remember"] = plan.remember * micro.weight * remember_loss(logits[: len(told)], told, batch, data)
        return losses

    return objective


@torch.no_grad()
def told_before(batch: Batch, data: Data, before: Answer) -> Tensor:
    """Probabilities [B, L] that were given before the new label came, which gets none."""
    told = torch.zeros(len(batch.labels), len(data.labels), device=batch.labels.device)
    told[:, [label != data.new for label in data.labels]] = before(batch.degraded).softmax(dim=1)
    return told


def remember_loss(logits: Tensor, told: Tensor, batch: Batch, data: Data) -> Tensor:
    """How far the answers [B, L] are from those given before, mean over the batch; the new label's pictures count 0.

    Cross entropy with the former probabilities (Li and Hoiem 2016, learning without forgetting).
    """
    known = batch.labels != data.labels.index(data.new)
    apart = nn.functional.cross_entropy(logits, told, reduction="none")
    return (apart * known).mean()


def keep_all_tokens(clip: CLIP) -> None:
    """Undo what `biqa_objective` changed in the vision tower."""
    vision_tower(clip).patch_dropout = nn.Identity()


def kept_tokens(clip: CLIP, micro: MicroBatch, truths: list[int], share: float) -> Tensor:
    """Which tokens [B + T, K] of the pictures, and of the ground truths that they bring along, are kept."""
    count = len(vision_tower(clip).get_parameter("positional_embedding")) - 1
    orders = [rng.permuted([range(count)] * 2, axis=1) for rng in micro.rngs("tokens")]
    chosen = [order[0] for order in orders] + [orders[row][1] for row in truths]
    return torch.tensor([order[: max(1, int(count * share))].tolist() for order in chosen])


def answer_losses(logits: Tensor, targets: Tensor) -> Losses:
    """How far the answers [N, L] are from the labels [N], mean over the pictures."""
    one_hot = nn.functional.one_hot(targets, logits.shape[1]).float()
    return {
        "fidelity": fidelity_loss(logits.softmax(dim=1), one_hot),
        "cross_entropy": nn.functional.cross_entropy(logits, targets, label_smoothing=0.05),
    }


def agnostic_sum(probabilities: Tensor, labels: Tensor, clean: int) -> Tensor:
    """The semantic-agnostic terms of ground truths [T, L] of pictures labelled [T], added up; clean ones have none."""
    spoiled = labels != clean
    if not spoiled.any():
        return probabilities.new_zeros(())
    return semantic_agnostic_loss(probabilities[spoiled], labels[spoiled]) * spoiled.sum()


def cosine_answer(clip: CLIP, labels: Sequence[str]) -> Answer:
    """The assessment's own way: cosines with the prompts of the labels, for a frozen text tower."""
    prompts = label_embeddings(clip, labels)
    return lambda images: label_logits(clip, images, prompts)


def label_logits(clip: CLIP, images: Tensor, prompts: Tensor) -> Tensor:
    """[B, L] for [B, H, W, 3] and the unit embeddings [L, E] of the label prompts."""
    embeddings = clip.encode_image(clip_pixels(images, vision_side(clip)), normalize=True)
    return (clip.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp() * embeddings @ prompts.T).float()
