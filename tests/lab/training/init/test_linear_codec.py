"""Linear initializations: the networks give what the linear maps give."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autodir_core.networks.build import build_unet, build_vae
from autodir_core.networks.config import UNetConfig, VAEConfig
from autodir_lab.training.init import linear_codec as linear
from autodir_lab.training.init.linear_denoiser import fit_linear_denoiser, init_linear_denoiser

UNET = UNetConfig(16, 8, channels=(48, 32), blocks=1, attention=(False, True), context=64, heads=4, groups=8)


@pytest.fixture(scope="module")
def initialized(data):
    """An autoencoder initialized linearly, and the codec that it was given."""
    codecs = []
    fit = linear.fit_codec
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "CROPS", 32)
        patch.setattr(linear, "fit_codec", lambda *given, **plan: codecs.append(fit(*given, **plan)) or codecs[0])
        torch.manual_seed(0)
        vae = build_vae(VAEConfig(channels=(32, 48, 64), blocks=1, latent_channels=8, groups=8)).eval()
        linear.init_linear_codec(vae, data, steps=30)
    return vae, codecs[0]


def holding(unet, vae) -> SimpleNamespace:
    """What a linear denoiser needs of a model."""
    networks = SimpleNamespace(unet=unet, vae=vae)
    return SimpleNamespace(networks=networks, metadata=SimpleNamespace(latent_scale=0.5))


@torch.no_grad()
def test_the_autoencoder_begins_as_the_codec(initialized):
    vae, codec = initialized
    x = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 8) * 2 - 1, size=(64, 64), mode="bicubic")
    posterior = vae.encode(x).latent_dist
    latent, whole = codec.encode(x), codec(x)
    assert (posterior.mode() - latent).norm() < 0.1 * latent.norm()
    assert (vae.decode(latent).sample - whole).norm() < 0.05 * whole.norm()
    assert posterior.logvar.mean().item() == pytest.approx(linear.INITIAL_LOG_VARIANCE)


@torch.no_grad()
def test_the_codec_learns(scenes):
    torch.manual_seed(0)
    crops = torch.from_numpy(scenes[0, :256, :256, :3].astype(np.float32) / 127.5 - 1)
    crops = torch.stack([crops[y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64)]).permute(0, 3, 1, 2)
    codec = linear.LinearCodec(8, 2, narrow=8, wide=24)
    before = (codec(crops) - crops).square().mean()
    with torch.enable_grad():
        linear.fit_codec(codec, crops, steps=60)
    assert (codec(crops) - crops).square().mean() < 0.1 * before
    assert not any(parameter.requires_grad for parameter in codec.parameters())


@torch.no_grad()
def test_the_diffusion_begins_as_the_linear_denoiser(initialized, data):
    vae, _ = initialized
    unet = build_unet(UNET).eval()
    model = holding(unet, vae)
    init_linear_denoiser(model, data)
    a, b = fit_linear_denoiser(model, data, 0)
    x, c = torch.randn(2, 8, 16, 16), 2 * torch.randn(2, 8, 16, 16)
    for t in (0, 999):
        predicted = unet(torch.cat([x, c], dim=1), torch.tensor([t, t]), encoder_hidden_states=torch.randn(2, 77, 64))
        guess = a * x - b * 0.5 * c
        assert (predicted.sample - guess).norm() < 0.02 * guess.norm()


def test_norms_too_small_for_a_linear_denoiser_are_refused(initialized, data):
    narrow = build_unet(UNetConfig(16, 8, (32, 32), 1, (False, True), context=64, heads=4, groups=8))
    with pytest.raises(ValueError, match="norm groups of six channels"):
        init_linear_denoiser(holding(narrow, initialized[0]), data)
