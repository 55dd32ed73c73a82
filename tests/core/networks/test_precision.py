"""Values that overflow in half precision: computed again in a wider one, told, and never a black picture."""

from __future__ import annotations

import logging

import pytest
import torch

import autodir_core as ad
from autodir_core.devices import wider_dtypes
from autodir_core.networks.precision import in_precision, is_finite

FIRST_LAYERS = {
    "encode": "vae.encoder.conv_in",
    "sample": "unet.conv_in",
    "decode": "vae.decoder.conv_in",
    "correct": "scm.intro",
    "assess": "clip.visual.conv1",
    "text": "clip.token_embedding",
}
"""The layer that makes the first activations of a stage."""

IMAGE = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
LOOP, SAMPLER = ad.LoopSettings(max_rounds=1), ad.SamplerSettings(steps=2)


def overflowing(tiny_path, stage: str, dtype: str, size: float = 3e4) -> ad.AutoDIR:
    """A model whose first activations in a stage are above what float16 holds: sums of weights that it does hold."""
    model = ad.load_autodir(tiny_path, "cpu", "float32")
    network = model.networks.get_submodule(FIRST_LAYERS[stage])
    network.weight.data *= size / network.weight.abs().max()
    half = getattr(torch, dtype)
    try:
        torch.layer_norm(torch.zeros(1, dtype=half), [1])
    except RuntimeError:
        pytest.skip(f"PyTorch {torch.__version__} has no layer norm in {dtype} on a CPU")
    for parameter in model.networks.parameters():
        parameter.data = parameter.data.to(half)
    return model


@pytest.mark.parametrize("stage", ["encode", "sample", "decode", "correct"])
def test_what_overflows_in_half_precision_is_computed_again(tiny_path, stage, caplog):
    caplog.set_level(logging.WARNING)
    model, exact = overflowing(tiny_path, stage, "float16"), overflowing(tiny_path, stage, "float32")
    name = FIRST_LAYERS[stage].partition(".")[0]
    weights = {key: tensor.clone() for key, tensor in model.networks.state_dict().items()}
    done = ad.restore(model, IMAGE, LOOP, SAMPLER)
    assert done.image.isfinite().all() and done.image.std() > 0.01
    assert f"float16 overflows in the stage '{stage}'" in caplog.text and "in float32 from now on" in caplog.text
    assert model.networks.safe_dtypes == {name: torch.float32}
    assert all(torch.equal(tensor, weights[key]) for key, tensor in model.networks.state_dict().items())
    before = len(caplog.records)
    ad.restore(model, IMAGE, LOOP, SAMPLER)
    assert len(caplog.records) == before, "once it is known it is not tried again"
    if stage == "correct":
        shown = exact.correct(IMAGE, IMAGE)
        torch.testing.assert_close(model.correct(IMAGE, IMAGE), shown, rtol=0.05, atol=0.05 * shown.abs().max().item())


@pytest.mark.parametrize("stage", ["encode", "sample", "decode", "correct"])
def test_what_is_not_finite_in_float32_names_its_stage(tiny_path, stage):
    model = overflowing(tiny_path, stage, "float32")
    model.networks.get_submodule(FIRST_LAYERS[stage]).weight.data.fill_(torch.inf)
    with pytest.raises(ad.AutoDIRError, match=f"the stage '{stage}' gave values that are not finite"):
        ad.restore(model, IMAGE, LOOP, SAMPLER)


def test_the_assessment_is_computed_again(tiny_path, monkeypatch, caplog):
    """Norms follow the first layer of a tower, so that a hook gives what overflows."""
    model = overflowing(tiny_path, "correct", "float16", size=1)

    def overflow(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor | None:
        return output * torch.inf if output.dtype == torch.float16 else None

    with model.networks.clip.visual.conv1.register_forward_hook(overflow):
        assert model.assess(IMAGE).probabilities.isfinite().all()
    assert "the stage 'assess'" in caplog.text and model.networks.safe_dtypes == {"clip": torch.float32}
    again = overflowing(tiny_path, "correct", "float16", size=1)
    with again.networks.clip.transformer.register_forward_hook(overflow):
        assert again.embed_text(["fog"]).isfinite().all() and again.prompts(again.labels).states.isfinite().all()
    assert "the stage 'text'" in caplog.text


def test_a_condition_or_a_latent_that_is_not_finite_is_not_blamed_on_the_weights(tiny):
    latent, text = tiny.encode(IMAGE), tiny.null_text
    with pytest.raises(ad.InputError, match="the text condition holds values that are not finite"):
        tiny.sample(latent, text * torch.nan, SAMPLER)
    with pytest.raises(ad.InputError, match="the stage 'decode' was given values that are not finite"):
        tiny.decode(latent * torch.nan)
    with pytest.raises(ad.InputError, match="the stage 'sample' was given values that are not finite"):
        tiny.sample(latent * torch.nan, text, SAMPLER)


def test_weights_are_the_same_after_an_error(tiny):
    before = tiny.networks.unet.conv_in.weight.data_ptr()
    with pytest.raises(ZeroDivisionError), in_precision(tiny.networks, "unet", torch.bfloat16):
        assert tiny.dtype == torch.bfloat16
        raise ZeroDivisionError
    assert tiny.networks.unet.conv_in.weight.data_ptr() == before and tiny.dtype == torch.float32


def test_precisions_become_wider_alone(monkeypatch):
    assert wider_dtypes(torch.float16, torch.device("cpu")) == (torch.float32,)
    assert wider_dtypes(torch.bfloat16, torch.device("cpu")) == (torch.float32,)
    assert wider_dtypes(torch.float32, torch.device("cpu")) == ()
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: True)
    assert wider_dtypes(torch.float16, torch.device("cuda")) == (torch.bfloat16, torch.float32)


def test_finite():
    assert is_finite(torch.ones(2)) and is_finite(torch.empty(0))
    assert not is_finite(torch.tensor([1, torch.nan])) and not is_finite(torch.tensor([1, -torch.inf]))
