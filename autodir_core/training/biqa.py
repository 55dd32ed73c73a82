"""Trains the vision tower of BIQA: name the degradation, and do not see it in the ground truth (paper section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..assess import clip_pixels
from ..labels import LABELS
from ..networks import vision_side, vision_tower
from .data import Variety, draw_batch
from .loop import Losses, Objective
from .losses import fidelity_loss, semantic_agnostic_loss

if TYPE_CHECKING:
    from open_clip import CLIP


@dataclass(frozen=True)
class BIQAPlan:
    """What a step of the assessment's training sees.

    Args:
        batch: pictures per step; a quarter as many ground truths are added.
        size: side of the square crops in pixels; the vision tower's own side.
        keep: share of the tokens that is kept in training, which saves time; the last steps keep all.
        mildest: lowest severity.
        variety: shares of crops that look like photographs.
        clean_share: share of crops that are left as they are.
        fidelity, cross_entropy, semantic_agnostic: weights of the losses.
    """

    batch: int = 24
    size: int = 224
    keep: float = 0.25
    mildest: float = 0.15
    variety: Variety = Variety(relief=0.5, focus=0.4, camera=0.5, patches=0.3, jpeg=0.5)
    clean_share: float = 0.25
    fidelity: float = 1.0
    cross_entropy: float = 1.0
    semantic_agnostic: float = 0.5


def biqa_objective(clip: CLIP, scenes: np.ndarray, plan: BIQAPlan, *, full_from: int) -> Objective:
    """The losses of one step over procedural scenes; all tokens are kept from step `full_from` on."""
    from open_clip.transformer import PatchDropout

    from .start import label_embeddings

    prompts = label_embeddings(clip)
    dropout = PatchDropout(1 - plan.keep)
    vision_tower(clip).patch_dropout = dropout

    def objective(step: int, rng: np.random.Generator) -> Losses:
        dropout.prob = 0.0 if step >= full_from else 1 - plan.keep
        batch = draw_batch(
            scenes,
            plan.batch,
            rng,
            size=plan.size,
            clean_share=plan.clean_share,
            mildest=plan.mildest,
            variety=plan.variety,
        )
        truths = batch.clean[: plan.batch // 4]
        logits = label_logits(clip, torch.cat([batch.degraded, truths]), prompts)
        clean = torch.full((len(truths),), len(LABELS) - 1)
        targets = torch.cat([batch.labels, clean])
        probabilities = logits.softmax(dim=1)
        one_hot = nn.functional.one_hot(targets, len(LABELS)).float()
        spoiled = batch.labels[: len(truths)] != len(LABELS) - 1
        agnostic = semantic_agnostic_loss(probabilities[plan.batch :][spoiled], batch.labels[: len(truths)][spoiled])
        return {
            "fidelity": plan.fidelity * fidelity_loss(probabilities, one_hot),
            "cross_entropy": plan.cross_entropy * nn.functional.cross_entropy(logits, targets, label_smoothing=0.05),
            "semantic_agnostic": plan.semantic_agnostic * (agnostic if spoiled.any() else torch.zeros(())),
        }

    return objective


def label_logits(clip: CLIP, images: Tensor, prompts: Tensor) -> Tensor:
    """[B, L] for [B, H, W, 3]; the scale stays in a range where float16 holds it."""
    embeddings = clip.encode_image(clip_pixels(images, vision_side(clip)), normalize=True)
    return clip.logit_scale.clamp(max=4.0).exp() * embeddings @ prompts.T
