"""Residual branches that end in zeros are skipped, with the same bits, and only while they are zero."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D

from autodir_core.networks.build import build_vae
from autodir_core.networks.config import VAEConfig


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return build_vae(VAEConfig((8, 16), 1, 4, groups=4)).eval().requires_grad_(False)


def zero_branches(vae):
    for name, parameter in vae.named_parameters():
        if ".conv2." in name or ".to_out.0." in name:
            parameter.zero_()


def count_convolutions(vae, x):
    calls = []
    handles = [
        module.conv1.register_forward_hook(lambda *_: calls.append(1))
        for module in vae.modules()
        if isinstance(module, ResnetBlock2D)
    ]
    vae.decode(vae.encode(x).latent_dist.mode())
    for handle in handles:
        handle.remove()
    return len(calls)


def run(vae, x):
    latent = vae.encode(x).latent_dist.mode()
    return latent, vae.decode(latent).sample


def test_zero_branches_are_not_computed_and_change_no_bit(vae):
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert count_convolutions(vae, x) > 0
    zero_branches(vae)
    expected = run(vae, x)  # with gradients everything is computed
    with torch.no_grad():
        assert count_convolutions(vae, x) == 0
        for got, want in zip(run(vae, x), expected, strict=True):
            assert torch.equal(got, want)


def test_a_branch_that_learns_is_computed_again(vae):
    x = torch.rand(1, 3, 16, 16)
    zero_branches(vae)
    with torch.no_grad():
        before = run(vae, x)[1]
        for name, parameter in vae.named_parameters():
            if ".conv2.bias" in name:
                parameter += 0.1
        after = run(vae, x)[1]
    assert not torch.equal(before, after)


def test_a_copy_looks_at_its_own_weights(vae):
    zero_branches(vae)
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        run(vae, x)
        other = copy.deepcopy(vae)
        for name, parameter in other.named_parameters():
            if ".conv2.bias" in name:
                parameter += 0.1
        assert not torch.equal(run(other, x)[1], run(vae, x)[1])


def test_weights_from_inference_mode_are_skipped_too(vae):
    with torch.inference_mode():
        copied = copy.deepcopy(vae)
        for parameter in copied.parameters():
            parameter.data = parameter.data.clone()
        zero_branches(copied)
        assert count_convolutions(copied, torch.rand(1, 3, 16, 16)) == 0
