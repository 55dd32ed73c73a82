"""Initialize a small text tower: prompts of different labels, and their paraphrases, get orthogonal embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from autodir_core.labels import LABELS, prompt_for
from autodir_core.stages.conditioning import pool_text, text_states, tokenize

if TYPE_CHECKING:
    from open_clip import CLIP

WORDS = {
    "noise": ("noise", "grain", "denoise", "speckles", "sensor noise", "film grain"),
    "blur": ("blur", "motion blur", "out of focus", "deblur", "camera shake", "unsharp"),
    "rain": ("rain", "rain streaks", "derain", "rainy weather", "falling rain"),
    "underexposure": ("underexposure", "low light", "dark picture", "brighten", "night", "too dark"),
    "haze": ("haze", "fog", "mist", "dehaze", "smoke", "foggy weather"),
    "low resolution": ("low resolution", "super resolution", "upscaling", "pixelated", "enlarge", "more detail"),
    "raindrop": ("raindrop", "drops on the lens", "water drops on glass", "wet window", "droplets"),
    "no": ("no", "nothing", "clean picture", "good quality", "keep as it is"),
}
TEMPLATES = (
    "A photo needs {} artifact reduction",
    "{}",
    "remove the {}",
    "please fix the {} in this photo",
    "a photo with {}",
)
"""What a user may ask for, by label; the first template is the official prompt."""

TEXT_TOWER = ("transformer.", "ln_final.", "token_embedding.", "text_projection", "positional_embedding")


def train_text_tower(clip: CLIP, labels: Sequence[str] = LABELS, *, steps: int = 300, seed: int = 0) -> None:
    """Train the text tower until the prompts of each label have their own direction; then freeze it.

    A mini model has no pretrained text tower; the paper's is frozen from the beginning.
    """
    torch.manual_seed(seed)
    targets = torch.linalg.qr(torch.randn(clip.get_parameter("text_projection").shape[1], len(labels)))[0].T
    texts, owners = paraphrases(labels)
    tokens, lengths = tokenize(texts)
    parameters = [parameter for name, parameter in clip.named_parameters() if name.startswith(TEXT_TOWER)]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        rows = torch.from_numpy(rng.choice(len(texts), min(32, len(texts)), replace=False))
        masked = [lengths[row] for row in rows] if rng.random() < 0.5 else None
        states = text_states(clip, tokens[rows], masked)
        embeddings = nn.functional.normalize(pool_text(clip, states, tokens[rows]), dim=-1)
        loss = nn.functional.cross_entropy(20 * embeddings @ targets.T, owners[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for parameter in parameters:
        parameter.requires_grad_(False)


def paraphrases(labels: Sequence[str] = LABELS) -> tuple[list[str], Tensor]:
    """Return texts that ask for a restoration, and the index of the label [N] that each means.

    The official prompts come first.
    """
    texts = [prompt_for(label) for label in labels]
    owners = list(range(len(labels)))
    for owner, label in enumerate(labels):
        for word in WORDS.get(label, (label,)):
            texts += [template.format(word) for template in TEMPLATES]
            owners += [owner] * len(TEMPLATES)
    return texts, torch.tensor(owners)
