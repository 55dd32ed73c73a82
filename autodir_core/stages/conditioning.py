"""Text conditions of the diffusion: prompts to CLIP states, the blend over labels, mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..networks.build import submodule
from ..networks.config import CONTEXT
from ..optional_imports import optional_import

if TYPE_CHECKING:
    from open_clip import CLIP

START_TOKEN = 49406
END_TOKEN = 49407


@lru_cache(maxsize=1)
def tokenizer() -> Any:
    """open_clip's byte pair tokenizer, with OpenAI's names of the two special tokens, which user text may hold."""
    with optional_import("open_clip"):
        from open_clip.tokenizer import SimpleTokenizer

    # the real names must win over the merges: added at the end, then given the official numbers
    bpe = SimpleTokenizer(additional_special_tokens=["<|startoftext|>", "<|endoftext|>"], clean="whitespace")
    bpe.encoder.update({"<|startoftext|>": START_TOKEN, "<|endoftext|>": END_TOKEN})
    bpe.clean_fn = clean_text
    return bpe


def clean_text(x: str) -> str:
    """Return the text repaired, in lower case, with single spaces; HTML entities stay.

    Official: Hugging Face's CLIPTokenizer with ftfy.
    """
    with optional_import("ftfy"):
        import ftfy

    return " ".join(ftfy.fix_text(x).split()).lower()


def tokenize(texts: Sequence[str]) -> tuple[Tensor, list[int]]:
    """Return token numbers int64 [N, 77], padded with the end token, and the lengths with start and end token."""
    if isinstance(texts, str):
        raise InputError(f"texts must be a list of texts, got the text {texts!r}; write [{texts!r}]")
    bpe = tokenizer()
    rows = [[START_TOKEN, *bpe.encode(text)[: CONTEXT - 2], END_TOKEN] for text in texts]
    padded = [row + [END_TOKEN] * (CONTEXT - len(row)) for row in rows]
    return torch.tensor(padded), [len(row) for row in rows]


def causal_mask(lengths: Sequence[int] | None, batch: int) -> Tensor:
    """Return an additive mask [batch, 77, 77]: a token sees itself, those before, no padding if lengths are given."""
    mask = torch.full((CONTEXT, CONTEXT), float("-inf")).triu(1).repeat(batch, 1, 1)
    for row, length in zip(mask, lengths or (), strict=False):
        row[:, length:] = float("-inf")
    return mask


def text_states(clip: CLIP, tokens: Tensor, lengths: Sequence[int] | None = None) -> Tensor:
    """Return the last hidden states [N, 77, D] after the final norm.

    Args:
        clip: the network.
        tokens: int64 [N, 77].
        lengths: with them padding is masked, as the official assessment does; without, as its custom prompts do.
    """
    embedding = submodule(clip, "token_embedding", nn.Embedding)
    heads = submodule(clip, "transformer.resblocks.0.attn", nn.MultiheadAttention).num_heads
    # open_clip turns a boolean mask into 0/1 without a word, hence additive; every head needs its own copy in a row
    mask = causal_mask(lengths, len(tokens)).to(embedding.weight).repeat_interleave(heads, dim=0)
    x = embedding(tokens.to(embedding.weight.device)) + clip.get_parameter("positional_embedding")
    return clip.get_submodule("ln_final")(clip.get_submodule("transformer")(x, attn_mask=mask))


def pool_text(clip: CLIP, states: Tensor, tokens: Tensor) -> Tensor:
    """Return text embeddings [N, E]: the state at the first end token, projected."""
    first_end = (tokens == END_TOKEN).int().argmax(dim=1).to(states.device)
    return states[torch.arange(len(states), device=states.device), first_end] @ clip.get_parameter("text_projection")


def blend(probabilities: Tensor, states: Tensor) -> Tensor:
    """Blend the prompts' states [L, 77, D] with probabilities [B, L] to [B, 77, D] (paper section 3.2)."""
    return torch.einsum("bl,ltd->btd", probabilities.to(states), states)


def sharpen_probabilities(
    probabilities: Tensor, *, temperature: float = 1.0, top_k: int = 0, excluded: Tensor | None = None
) -> Tensor:
    """Sharpen or soften probabilities [B, L] and limit them to some labels: p^(1 / temperature), summing to 1 again.

    Args:
        probabilities: [B, L], from an assessment.
        temperature: above 0; below 1 favors the most probable label, above 1 evens out, 1 changes nothing.
        top_k: how many of the most probable labels of a picture stay; 0 keeps all.
        excluded: bool [L], True for labels that get 0; they do not count among the `top_k`.

    The defaults give back the very numbers that came in.
    """
    if temperature <= 0:
        raise InputError(f"temperature must be above 0, got {temperature}")
    if top_k < 0:
        raise InputError(f"top_k must be 0 (all) or more, got {top_k}")
    excluded = torch.zeros(probabilities.shape[1], dtype=torch.bool) if excluded is None else excluded
    if excluded.all():
        raise InputError("every label is excluded; leave at least one")
    if temperature == 1 and top_k == 0 and not excluded.any():
        return probabilities
    # the smallest float instead of 0, so that the logarithm of a vanished probability stays finite
    scores = probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log() / temperature
    scores = scores.masked_fill(excluded.to(scores.device), float("-inf"))
    if 0 < top_k < scores.shape[1]:
        best = scores.topk(top_k, dim=1).indices
        scores = torch.full_like(scores, float("-inf")).scatter(1, best, scores.gather(1, best))
    return scores.softmax(dim=1)


def mix_embeddings(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Interpolate between two embeddings [B, 77, D]; weight 0 is the first, 1 the second."""
    if not 0 <= weight <= 1:
        raise InputError(f"weight must be in 0..1, got {weight}")
    return (1 - weight) * first + weight * second
