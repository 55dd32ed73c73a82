"""A start for small networks that learn from little: CLIP's vision tower as a frequency analyser, prompts spread apart.

A vision tower must first discover that degradations show in local frequency statistics. Here its patch filters begin as
a DCT, its first MLP as the size of the coefficients, and its second attention as their mean over the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from autodir_core.labels import LABELS, prompt_for
from autodir_core.networks.build import part, vision_tower
from autodir_core.networks.nafnet import NAFNet
from autodir_core.stages.biqa import CLIP_STD
from autodir_core.stages.conditioning import pool_text, text_states, tokenize

if TYPE_CHECKING:
    from open_clip import CLIP

CARRIERS = 8
"""Channels of constant size that keep the layer norms from hiding how strong a picture's frequencies are."""

CARRIER_SIZE = 4.0
COLOUR_SHARE = 4
"""One of so many filters looks at colour differences instead of luminance."""

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


def dct_filters(patch: int, count: int) -> Tensor:
    """The first `count` filters [count, 3, patch, patch] of a DCT over luminance and two colour differences.

    Ordered by frequency; each is amplified with its frequency, since photographs fall off with it.
    """
    n = np.arange(patch)
    basis = np.cos(np.pi * (2 * n[None] + 1) * n[:, None] / (2 * patch)) * np.sqrt(2 / patch)
    basis[0] /= np.sqrt(2)
    planes = np.einsum("uy,vx->uvyx", basis, basis).reshape(-1, patch, patch)
    frequency = np.add.outer(n, n).ravel()
    order = np.argsort(frequency, kind="stable")
    planes = planes[order] * (0.05 + 0.15 * frequency[order, None, None])
    colours = {"luminance": (0.3, 0.6, 0.1), "blue": (-0.3, -0.6, 0.9), "red": (0.7, -0.6, -0.1)}
    luminance, blue, red = (
        torch.einsum("c,fyx->fcyx", torch.tensor(weights), torch.from_numpy(planes).float())
        for weights in colours.values()
    )
    colour = torch.stack([blue, red], dim=1).flatten(0, 1)
    share = min(count // COLOUR_SHARE, len(colour))
    filters = torch.cat([luminance[: count - share], colour[:share]])
    return filters * torch.tensor(CLIP_STD).view(1, 3, 1, 1) / float(np.mean(CLIP_STD))


@torch.no_grad()
def start_vision(clip: CLIP) -> None:
    """Lay the frequency analyser into a freshly built vision tower: coefficients, their sizes, the sizes' mean."""
    visual = vision_tower(clip)
    filters = visual.conv1.weight
    width, patch = filters.shape[0], filters.shape[-1]
    coefficients = min(patch * patch + patch * patch // COLOUR_SHARE, (width - CARRIERS) // 2)
    filters.mul_(0.2)
    filters[:coefficients] = dct_filters(patch, coefficients)
    filters[-CARRIERS:] = 0
    visual.positional_embedding.mul_(0.3)
    visual.positional_embedding[:, -CARRIERS:] = CARRIER_SIZE * torch.tensor([1.0, -1.0]).repeat(CARRIERS // 2)
    first, second = (visual.transformer.resblocks[layer] for layer in range(2))
    quiet(part(first, "attn", nn.MultiheadAttention), 0.1)
    measure_sizes(part(first, "mlp.c_fc", nn.Linear), part(first, "mlp.c_proj", nn.Linear), coefficients)
    average_sizes(part(second, "attn", nn.MultiheadAttention), coefficients)


def quiet(attention: nn.MultiheadAttention, scale: float) -> None:
    """Let an attention begin nearly uniform and nearly silent."""
    width = attention.embed_dim
    attention.in_proj_weight[: 2 * width].mul_(scale)
    attention.out_proj.weight.mul_(scale)


def measure_sizes(first: nn.Linear, second: nn.Linear, count: int) -> None:
    """Pairs of units with opposite signs add up to |coefficient|, written behind the coefficients."""
    units = torch.arange(count)
    for row, sign in ((units, 3.0), (units + count, -3.0)):
        first.weight[row] = 0
        first.bias[row] = 0
        first.weight[row, units] = sign
        second.weight[:, row] = 0
        second.weight[count + units, row] = 1 / 3


def average_sizes(attention: nn.MultiheadAttention, count: int) -> None:
    """A uniform attention that passes the sizes on: every token gets their mean over the picture."""
    width = attention.embed_dim
    quiet(attention, 0.1)
    sizes = torch.arange(count, 2 * count)
    attention.in_proj_weight[2 * width + sizes] = 0
    attention.in_proj_weight[2 * width + sizes, sizes] = 1
    attention.out_proj.weight[sizes, sizes] = 1


@torch.no_grad()
def start_correction(scm: NAFNet) -> None:
    """Let the correction begin by giving back the degraded picture: residual = degraded - generated.

    The blocks begin as identities; the first three filters carry the degraded picture, the next three the generated.
    """
    scm.intro.weight[:6] = 0
    scm.get_parameter("intro.bias")[:6] = 0
    scm.intro.weight[range(6), range(6), 1, 1] = 1
    for up in scm.ups:
        up.get_parameter("0.weight").mul_(0.1)
    scm.ups[-1].get_parameter("0.weight")[: 6 * 4] = 0  # four shuffled channels become one channel of the picture
    scm.ending.weight.mul_(0.1)
    scm.ending.weight[:, :6] = 0
    scm.get_parameter("ending.bias").zero_()
    scm.ending.weight[range(3), range(3), 1, 1] = 1
    scm.ending.weight[range(3), range(3, 6), 1, 1] = -1


def spread_prompts(clip: CLIP, labels: Sequence[str] = LABELS, *, steps: int = 300, seed: int = 0) -> None:
    """Train the text tower until each label's prompt, and its everyday words, point their own way; then freeze it.

    A mini model has no pretrained text tower; the paper's is frozen from the start.
    """
    torch.manual_seed(seed)
    targets = torch.linalg.qr(torch.randn(clip.get_parameter("text_projection").shape[1], len(labels)))[0].T
    texts, owners = paraphrases(labels)
    tokens, lengths = tokenize(texts)
    parameters = [*clip.get_submodule("transformer").parameters()]
    parameters += [clip.get_parameter(name) for name in ("text_projection", "positional_embedding")]
    parameters += [*clip.get_submodule("ln_final").parameters(), clip.get_parameter("token_embedding.weight")]
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
    """Texts that ask for a restoration, and which label [N] each of them means; the official prompts come first."""
    texts = [prompt_for(label) for label in labels]
    owners = list(range(len(labels)))
    for owner, label in enumerate(labels):
        for word in WORDS.get(label, (label,)):
            texts += [template.format(word) for template in TEMPLATES]
            owners += [owner] * len(TEMPLATES)
    return texts, torch.tensor(owners)


def label_embeddings(clip: CLIP, labels: Sequence[str] = LABELS) -> Tensor:
    """Unit embeddings [L, E] of the label prompts, for a frozen text tower."""
    from autodir_core.stages.biqa import encode_prompts

    with torch.no_grad():
        return encode_prompts(clip, tuple(labels)).embeddings
