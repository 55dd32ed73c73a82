"""Networks that take turns on a device; here that is the CPU, whose copies of the weights are told by their address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

import autodir_core as ad
from autodir_core.networks.build import weight_bytes
from autodir_core.tiling.memory import RESIDENT_SIZE, bytes_per_pixel, offload_needed

NAMES = ("unet", "vae", "clip", "scm")
LOOP, SAMPLER = ad.LoopSettings(max_rounds=2, labels=["haze", "rain"]), ad.SamplerSettings(2, text_guidance=2.0)


@pytest.fixture(scope="module")
def offloaded(tiny_path) -> ad.AutoDIR:
    model = ad.load_autodir(tiny_path, device="cpu")
    model.networks.shared_device = torch.device("cpu")
    return model


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(1, 72, 96, 3, generator=torch.Generator().manual_seed(0))


def addresses(model: ad.AutoDIR) -> dict[str, list[int]]:
    """Where the weights and buffers of each network lie."""
    networks = {name: model.networks.get_submodule(name) for name in NAMES}
    return {name: [x.data_ptr() for x in (*net.parameters(), *net.buffers())] for name, net in networks.items()}


@contextmanager
def watch(model: ad.AutoDIR) -> Iterator[dict[str, set[frozenset[str]]]]:
    """Note for each network which ones are on the device, wholly or in part, while a layer of it works."""
    waiting, seen = addresses(model), {name: set() for name in NAMES}

    def look(name: str) -> None:
        now = addresses(model)
        seen[name].add(frozenset(other for other in NAMES if now[other] != waiting[other]))

    layers = [
        (name, layer)
        for name in NAMES
        for layer in model.networks.get_submodule(name).modules()
        if isinstance(layer, (nn.Conv2d, nn.LayerNorm, nn.Embedding))
    ]
    handles = [layer.register_forward_pre_hook(lambda *at, name=name: look(name)) for name, layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def test_only_the_network_in_use_is_on_the_device(offloaded, image):
    waiting = addresses(offloaded)
    with watch(offloaded) as seen:
        ad.restore(offloaded, image, LOOP, SAMPLER)
    assert seen == {name: {frozenset([name])} for name in NAMES}
    assert addresses(offloaded) == waiting, "nothing stays there"


def test_all_weights_are_on_the_device_while_they_are_used(offloaded, image):
    waiting = addresses(offloaded)
    for name in NAMES:
        with offloaded.networks.on_device(name):
            assert not set(addresses(offloaded)[name]) & set(waiting[name])


def test_the_bits_are_those_of_networks_that_stay(offloaded, tiny, image):
    here, there = (ad.restore(model.tiled(128), image, LOOP, SAMPLER, seed=3) for model in (tiny, offloaded))
    assert torch.equal(here.image, there.image)


def test_weights_move_once_for_all_steps_and_tiles(offloaded, image):
    seen, unet = [], offloaded.networks.unet
    handle = unet.register_forward_pre_hook(lambda *at: seen.append(unet.conv_in.weight.data))  # alive: not used again
    latent, text = offloaded.encode(image), offloaded.embed_text(["haze"])
    offloaded.tiled(128).sample(latent, text, ad.SamplerSettings(3))
    handle.remove()
    assert len(seen) >= 3 and len({weight.data_ptr() for weight in seen}) == 1


def test_a_preview_while_sampling_leaves_the_unet_there(offloaded, image):
    shown = []
    latent, text = offloaded.encode(image), offloaded.embed_text(["haze"])
    with watch(offloaded) as seen:
        offloaded.sample(latent, text, SAMPLER, on_step=lambda step, z: shown.append(offloaded.decode(z)))
    assert seen["unet"] == {frozenset(["unet"])} and seen["vae"] == {frozenset(["unet", "vae"])}


def test_an_error_takes_nothing_from_the_networks(offloaded, tiny, image, monkeypatch):
    waiting = addresses(offloaded)

    def broken(*inputs, **options):
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="a bug"):
        patch.setattr(offloaded.networks.scm, "residual", broken)
        offloaded.correct(image, image)
    assert addresses(offloaded) == waiting
    assert torch.equal(offloaded.correct(image, image), tiny.correct(image, image))


def test_it_is_chosen_where_a_gpu_does_not_hold_all_of_them(tiny, caplog):
    gpu = torch.device("cuda")
    needed = weight_bytes(tiny.networks) + bytes_per_pixel(tiny.networks)["decode"] * RESIDENT_SIZE**2
    assert not offload_needed(tiny.networks, gpu, lambda device: needed)
    assert not caplog.text
    assert offload_needed(tiny.networks, gpu, lambda device: needed - 1)
    assert "the free memory of cuda does not hold all networks" in caplog.text
    assert not offload_needed(tiny.networks, torch.device("cpu"), lambda device: 0)


def test_a_cpu_has_nothing_to_take_turns_on(tiny_path):
    with pytest.raises(ad.InputError, match="offload needs a device with memory of its own, such as cuda, got cpu"):
        ad.load_autodir(tiny_path, device="cpu", offload=True)
