"""Large weights stored in 8 bits."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

import autodir_core as ad
from autodir_core.checkpoint.float8 import FLOAT8, quantize
from autodir_core.checkpoint.reader import open_state_dict

LARGE = "model.diffusion_model.middle_block.0.in_layers.2.weight"


@pytest.fixture(scope="module")
def small(tiny_path, tmp_path_factory):
    """The tiny model with large weights in 8 bits."""
    path = tmp_path_factory.mktemp("float8") / "small.safetensors"
    ad.convert(tiny_path, path, FLOAT8)
    return path


def test_large_weights_have_8_bits_and_a_scale_per_row(small, tiny_path, tmp_path):
    ad.convert(tiny_path, tmp_path / "half.safetensors")
    half, stored = load_file(tmp_path / "half.safetensors"), load_file(small)
    large = {key for key, tensor in stored.items() if tensor.dtype == FLOAT8}
    wide = ("first_stage_model.", "model_assessment.clipmodel.vi")
    assert LARGE in large and not any(key.startswith(wide) for key in large)
    assert set(stored) - set(half) == {f"{key}_scale" for key in large}
    for key, tensor in half.items():
        if key in large:
            back, peak = stored[key].float() * stored[f"{key}_scale"], tensor.float().flatten(1).abs().amax(dim=1)
            error = (back - tensor.float()).flatten(1).abs().amax(dim=1)
            assert (error <= peak / 2**4).all(), "half a step of three bits after the point"
        else:
            assert torch.equal(stored[key], tensor)


def test_it_is_the_same_model_whoever_reads_it(small, tmp_path):
    ad.convert(small, tmp_path / "wide.safetensors", torch.float32)
    one, other = (
        ad.load_autodir(path, device="cpu").networks.state_dict() for path in (small, tmp_path / "wide.safetensors")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_inspect_counts_no_scales(small, tiny_path):
    assert ad.inspect(small).parameters == ad.inspect(tiny_path).parameters
    assert ad.inspect(small).problem is None


def test_rows_of_zeros():
    stored = quantize("w", torch.zeros(2, 3))
    assert not (stored["w"].float() * stored["w_scale"]).any()


def test_a_scale_of_another_shape_is_none(small, tmp_path):
    state = load_file(small)
    state[f"{LARGE}_scale"] = state[f"{LARGE}_scale"].flatten()
    save_file(state, tmp_path / "odd.safetensors", metadata=dict(open_state_dict(small).metadata))
    with pytest.raises(ad.CheckpointError, match=rf"1 unexpected key \({LARGE}_scale\)"):
        ad.load_autodir(tmp_path / "odd.safetensors", device="cpu")
