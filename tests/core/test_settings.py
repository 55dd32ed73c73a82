from __future__ import annotations

import pytest
import torch

import autodir_core as ad


def test_a_negative_prompt_takes_the_place_of_the_null_prompt(tiny: ad.AutoDIR) -> None:
    latent, text = torch.randn(1, 4, 8, 8), tiny.embed_text(["clear"])

    def sample(negative: str, guidance: float = 3.0) -> torch.Tensor:
        return tiny.sample(latent, text, ad.SamplerSettings(2, "euler", guidance, negative_prompt=negative))

    plain = sample("")
    assert torch.equal(sample("  "), plain)
    assert not torch.allclose(sample("fog"), plain, atol=1e-4)
    # led away from what it is led to, nothing is extrapolated
    assert torch.allclose(sample("clear"), tiny.sample(latent, text, ad.SamplerSettings(2, "euler")), atol=1e-3)


def test_a_negative_prompt_that_nothing_would_read_is_refused() -> None:
    with pytest.raises(ad.InputError, match="raise text_guidance"):
        ad.SamplerSettings(negative_prompt="fog")
