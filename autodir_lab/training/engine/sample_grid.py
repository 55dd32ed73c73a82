"""Sample grids: one crop per label, and what the network in training does with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from autodir_core.imaging.layout import from_network, from_pil, to_network, to_pil
from autodir_core.model import AutoDIR
from autodir_core.settings import SamplerSettings
from autodir_core.stages.autoencoder import decode, encode_mode

from ..data.crops import CropConfig
from ..data.dataset import Batch, stack_pairs
from ..data.sources import TrainingData
from ..objectives.biqa import label_embeddings, label_logits

MIN_SIDE = 128
"""Smaller pictures are enlarged to at least this side, in pixels."""

CAPTION_HEIGHT = 14
"""Of a line of text, in pixels."""

SAMPLING = SamplerSettings(steps=10, sampler="euler")


def sample_pairs(data: TrainingData, size: int) -> Batch:
    """Draw one pair per label, the same whenever it is asked for."""
    crops = CropConfig(size, clean_fraction=0.0, min_severity=0.4)
    rngs = [np.random.default_rng([0, index]) for index in range(len(data.labels))]
    pairs = [data.draw_pair(label, crops, rng) for label, rng in zip(data.labels, rngs, strict=True)]
    return stack_pairs(pairs, range(len(pairs)))


def draw_biqa_grid(model: AutoDIR, data: TrainingData, size: int) -> Tensor:
    """Show degraded crops with the predicted labels, and ground truths with the probability of that degradation."""
    batch = sample_pairs(data, size).to(model.device)
    prompts = label_embeddings(model.networks.clip, data.labels)
    degraded, clean = (
        label_logits(model.networks.clip, pictures, prompts).softmax(dim=1)
        for pictures in (batch.degraded, batch.clean)
    )
    predicted = [f"{data.labels[int(row.argmax())]} {100 * row.max():.0f} %" for row in degraded]
    return draw_grid(
        {"degraded": batch.degraded, "ground truth": batch.clean},
        [f"{label}: {answer}" for label, answer in zip(data.labels, predicted, strict=True)],
        [f"{label}: {100 * row[i]:.0f} %" for i, (label, row) in enumerate(zip(data.labels, clean, strict=True))],
    )


def draw_vae_grid(model: AutoDIR, data: TrainingData, size: int) -> Tensor:
    """Show degraded crops and their reconstructions."""
    batch = sample_pairs(data, size).to(model.device)
    vae = model.networks.vae
    reconstruction = from_network(decode(vae, encode_mode(vae, to_network(batch.degraded)), scale=1.0))
    return draw_grid({"picture": batch.degraded, "reconstruction": reconstruction}, data.labels)


def draw_ldm_grid(model: AutoDIR, data: TrainingData, size: int) -> Tensor:
    """Show degraded crops, what ten sampling steps generate under the right label, and ground truths."""
    batch = sample_pairs(data, size)
    columns = {"degraded": batch.degraded, "generated": generate(model, batch), "ground truth": batch.clean}
    return draw_grid(columns, data.labels)


def draw_scm_grid(model: AutoDIR, data: TrainingData, size: int) -> Tensor:
    """Show degraded, generated and corrected crops, and ground truths."""
    batch = sample_pairs(data, size)
    generated = generate(model, batch)
    columns = {
        "degraded": batch.degraded,
        "generated": generated,
        "corrected": model.correct(batch.degraded.to(generated), generated),
        "ground truth": batch.clean,
    }
    return draw_grid(columns, data.labels)


def generate(model: AutoDIR, batch: Batch) -> Tensor:
    """Return what the diffusion generates from the degraded crops of a batch, each under its own label."""
    texts = model.prompts(model.labels).states[batch.labels]
    z = model.sample(model.encode(batch.degraded), texts, SAMPLING, seed=0)
    return model.decode(z, (batch.clean.shape[1], batch.clean.shape[2]))


def draw_grid(columns: Mapping[str, Tensor], *captions: Sequence[str]) -> Tensor:
    """Return columns of pictures [B, S, S, 3] under their names as one picture [1, H, W, 3] in 0..1.

    The n-th list of captions goes with the n-th column.
    """
    first = next(iter(columns.values()))
    scale = -(-MIN_SIDE // first.shape[1])
    side, rows = scale * first.shape[1], len(first)
    page = Image.new("RGB", (side * len(columns), CAPTION_HEIGHT + rows * (side + CAPTION_HEIGHT)), "white")
    draw = ImageDraw.Draw(page)
    for column, (name, pictures) in enumerate(columns.items()):
        draw.text((column * side + 2, 1), name, fill="black")
        for row, picture in enumerate(pictures):
            top = CAPTION_HEIGHT + row * (side + CAPTION_HEIGHT)
            page.paste(to_pil(picture).resize((side, side), Image.Resampling.NEAREST), (column * side, top))
            if column < len(captions):
                draw.text((column * side + 2, top + side + 1), captions[column][row], fill="black")
    return from_pil(page)[None]
