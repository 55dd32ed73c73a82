"""The text side of CLIP with a memory: each prompt of a model is encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property

import torch
from torch import Tensor

from ..networks.build import Networks
from ..networks.precision import call_finite
from .biqa import Prompts, encode_prompts
from .conditioning import text_states, tokenize


class TextEncoder:
    """Label prompts, custom prompts and the null prompt of one model, wherever its CLIP is."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self._prompts: dict[str, Prompts] = {}

    def forget(self) -> None:
        """Encode every label again when it is asked for next, as after a change of the weights."""
        self._prompts.clear()

    def prompts(self, labels: tuple[str, ...]) -> Prompts:
        """Return the encoded prompts of a label list; each label is encoded by itself."""
        missing = [label for label in labels if label not in self._prompts]
        with self.networks.on_device("clip") if missing else nullcontext():
            self._prompts |= {label: self._encode_label(label) for label in missing}
        known = [self._prompts[label] for label in labels]
        return Prompts(labels, torch.cat([one.states for one in known]), torch.cat([one.embeddings for one in known]))

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Encode custom prompts to [N, 77, D]; padding is not masked, as officially."""
        tokens, _ = tokenize(texts)
        clip = self.networks.clip
        return call_finite(self.networks, "clip", "text", lambda: text_states(clip, tokens).float())

    @cached_property
    def null(self) -> Tensor:
        """The embedding [1, 77, D] of the empty prompt."""
        return self.embed([""])

    def _encode_label(self, label: str) -> Prompts:
        clip = self.networks.clip
        return call_finite(self.networks, "clip", "text", lambda: encode_prompts(clip, (label,)), tensors_of)


def tensors_of(prompts: Prompts) -> list[Tensor]:
    """Return what must be finite."""
    return [prompts.states, prompts.embeddings]
