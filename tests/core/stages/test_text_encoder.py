from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.stages import text_encoder
from autodir_core.stages.text_encoder import TextEncoder


def test_each_prompt_is_encoded_once_and_by_itself(tiny: ad.AutoDIR, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    encode = text_encoder.encode_prompts
    monkeypatch.setattr(
        text_encoder, "encode_prompts", lambda clip, labels: (asked.append(labels), encode(clip, labels))[1]
    )
    texts = TextEncoder(tiny.networks)
    pair, reverse = texts.prompts(("rain", "haze")), texts.prompts(("haze", "rain"))
    assert asked == [("rain",), ("haze",)]
    assert pair.labels == ("rain", "haze") and torch.equal(pair.states, reverse.states.flip(0))
    texts.forget()
    texts.prompts(("haze",))
    assert asked == [("rain",), ("haze",), ("haze",)]
    assert torch.equal(pair.embeddings[:1], encode(tiny.networks.clip, ("rain",)).embeddings)


def test_the_null_prompt_is_the_empty_text(tiny: ad.AutoDIR) -> None:
    texts = TextEncoder(tiny.networks)
    assert texts.null is texts.null
    assert torch.allclose(texts.null, texts.embed(["", "snow"])[:1], atol=1e-5)
    assert texts.null.shape[:2] == (1, 77)
