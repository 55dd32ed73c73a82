"""Sample sheets: one crop per label, and what the network that is trained makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from autodir_core.imaging.layout import from_network, from_pil, to_network, to_pil
from autodir_core.model import AutoDIR
from autodir_core.settings import SamplerSettings
from autodir_core.stages.autoencoder import decode, encode_mode

from ..data.crops import Batch, Crops, Data, draw_pair
from ..init.networks import label_embeddings
from ..objectives.biqa import label_logits

SIDE = 128
"""Least side of a picture on a sheet, in pixels."""

STRIP = 14
"""Height of a line of text, in pixels."""

SAMPLING = SamplerSettings(steps=10, sampler="euler")


def examples(data: Data, size: int, *, seed: int = 0) -> Batch:
    """One pair per label, the same for the same seed, whatever was trained."""
    crops = Crops(size, clean_share=0.0, mildest=0.4)
    rngs = [np.random.default_rng([seed, number]) for number in range(len(data.labels))]
    pairs = [draw_pair(data, label, crops, rng) for label, rng in zip(data.labels, rngs, strict=True)]
    clean, degraded = (torch.stack(pictures) for pictures in zip(*pairs, strict=True))
    return Batch(clean, degraded, torch.arange(len(data.labels)))


@torch.no_grad()
def biqa_sheet(model: AutoDIR, data: Data, size: int) -> Tensor:
    """Degraded crops with the answers, and their truths with the probability of the same degradation."""
    batch = examples(data, size).to(model.device)
    prompts = label_embeddings(model.networks.clip, data.labels)
    seen, truth = (
        label_logits(model.networks.clip, pictures, prompts).softmax(dim=1)
        for pictures in (batch.degraded, batch.clean)
    )
    answers = [f"{data.labels[int(row.argmax())]} {100 * row.max():.0f} %" for row in seen]
    return sheet(
        {"degraded": batch.degraded, "truth": batch.clean},
        [f"{label}: {answer}" for label, answer in zip(data.labels, answers, strict=True)],
        [f"{label}: {100 * row[i]:.0f} %" for i, (label, row) in enumerate(zip(data.labels, truth, strict=True))],
    )


@torch.no_grad()
def vae_sheet(model: AutoDIR, data: Data, size: int) -> Tensor:
    """Crops, and what comes back from the latent space."""
    batch = examples(data, size).to(model.device)
    vae = model.networks.vae
    back = from_network(decode(vae, encode_mode(vae, to_network(batch.degraded)), scale=1.0))
    return sheet({"picture": batch.degraded, "reconstruction": back}, data.labels)


@torch.no_grad()
def ldm_sheet(model: AutoDIR, data: Data, size: int) -> Tensor:
    """Degraded crops, what ten steps of sampling under the right label generate, and their truths."""
    batch = examples(data, size)
    return sheet({"degraded": batch.degraded, "generated": generated(model, batch), "truth": batch.clean}, data.labels)


@torch.no_grad()
def scm_sheet(model: AutoDIR, data: Data, size: int) -> Tensor:
    """Degraded crops, generated ones, corrected ones, and their truths."""
    batch = examples(data, size)
    drawn = generated(model, batch)
    columns = {
        "degraded": batch.degraded,
        "generated": drawn,
        "corrected": model.correct(batch.degraded.to(drawn), drawn),
    }
    return sheet({**columns, "truth": batch.clean}, data.labels)


SHEETS = {"biqa": biqa_sheet, "vae": vae_sheet, "ldm": ldm_sheet, "scm": scm_sheet}
"""The sheet of each part: (model, data, side of the crops) -> [1, H, W, 3], 0..1."""


def generated(model: AutoDIR, batch: Batch) -> Tensor:
    """What the diffusion makes of the degraded crops of a batch with one picture per label."""
    texts = model.prompts(model.labels).states[batch.labels]
    z = model.sample(model.encode(batch.degraded), texts, SAMPLING, seed=0)
    return model.decode(z, (batch.clean.shape[1], batch.clean.shape[2]))


def sheet(columns: Mapping[str, Tensor], *captions: Sequence[str]) -> Tensor:
    """Pictures [B, S, S, 3] side by side under the names of their columns, [1, H, W, 3] in 0..1.

    The n-th list of captions stands under the n-th column.
    """
    first = next(iter(columns.values()))
    scale = -(-SIDE // first.shape[1])
    side, rows = scale * first.shape[1], len(first)
    page = Image.new("RGB", (side * len(columns), STRIP + rows * (side + STRIP)), "white")
    draw = ImageDraw.Draw(page)
    for column, (name, pictures) in enumerate(columns.items()):
        draw.text((column * side + 2, 1), name, fill="black")
        for row, picture in enumerate(pictures):
            top = STRIP + row * (side + STRIP)
            page.paste(enlarged(picture, side), (column * side, top))
            if column < len(captions):
                draw.text((column * side + 2, top + side + 1), captions[column][row], fill="black")
    return from_pil(page)[None]


def enlarged(picture: Tensor, side: int) -> Image.Image:
    """[S, S, 3] as an image of another side, every pixel as a square."""
    return to_pil(picture).resize((side, side), Image.Resampling.NEAREST)
