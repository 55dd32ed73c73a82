"""Pictures that do not fit into the memory, and cancelling, in the nodes that run the networks."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

SAMPLER = {"sampler": "euler_ancestral", "text_guidance": 1.0, "image_guidance": 1.0}
LOOP = {"seed": 3, "max_rounds": 1, "text_guidance": 1.0, "image_guidance": 1.0, "prompt": "haze", "scm_weight": -1.0}
HEIGHT, WIDTH, SIDE = 192, 256, 128


class CancelledError(Exception):
    pass


@pytest.fixture
def large(golden):
    """A picture that has room for several of the smallest tiles."""
    return torch.nn.functional.interpolate(
        golden.photo("photo_a_96x128").movedim(-1, 1), (HEIGHT, WIDTH), mode="bilinear"
    ).movedim(1, -1)


@pytest.fixture
def condition(node, model):
    return node("Prompt").encode(model, "haze")[0]


@pytest.fixture
def latent(node, model, large, condition):
    return node("Sample").sample(model, large, condition, 1, seed=3, **SAMPLER)[0]


@pytest.fixture
def calls(node, model, large, latent, condition) -> dict[str, Callable[[], torch.Tensor]]:
    """The nodes that work on large pictures, each as its main result."""
    return {
        "Sample": lambda: node("Sample").sample(model, large, condition, 1, seed=3, **SAMPLER)[0]["samples"],
        "Decode": lambda: node("Decode").decode(model, latent)[0],
        "Correct": lambda: node("Correct").correct(model, large, large.flip(2), 1.0)[0],
        "Restore": lambda: node("Restore").restore(model, large, 1, **LOOP)["result"][0],
    }


@contextmanager
def memory_of(side: int, factors: Sequence[int], *networks: torch.nn.Module) -> Iterator[list[int]]:
    """A GPU that runs out where a network gets more than a square of so many pixels; how often it did.

    Each network has a factor: what a value of its input counts for in pixels.
    """
    failed = []

    def fits(network, inputs):
        pixels = max(inputs[0].shape[-2:]) * factors[networks.index(network)]
        if pixels > side:
            failed.append(pixels)
            raise torch.cuda.OutOfMemoryError("tried to allocate 20 GiB")

    handles = [network.register_forward_pre_hook(fits) for network in networks]
    try:
        yield failed
    finally:
        for handle in handles:
            handle.remove()


@pytest.fixture
def little(model):
    """Memory for tiles of 128 or so pixels in everything but the UNet."""
    return lambda side: memory_of(side, [model.model.factor, 1, 1], *tiled_parts(model))


def tiled_parts(model) -> tuple[torch.nn.Module, ...]:
    """The networks beside the UNet that see pictures in tiles."""
    networks = model.model.networks
    return networks.vae.decoder, networks.vae.encoder, networks.scm


class TestTooLarge:
    @pytest.mark.parametrize(("name", "stages"), [("Sample", 1), ("Decode", 1), ("Correct", 1), ("Restore", 3)])
    def test_smaller_tiles_are_tried(self, calls, little, name, stages):
        whole = calls[name]()
        with little(SIDE) as failed:
            found = calls[name]()
        assert len(failed) == stages, "nothing but what did not fit was done again"
        assert found.shape == whole.shape and found.isfinite().all()
        assert not torch.equal(found, whole)
        assert torch.equal(calls[name](), whole), "the next run is whole again"

    def test_the_tiles_are_those_of_the_command_line(self, calls, little, model, large, core):
        parts = model.model.networks.unet, *tiled_parts(model)
        factors = [model.model.factor] * 2 + [1] * 2
        with memory_of(SIDE, factors, *parts):
            found = calls["Restore"]()
        loop, settings = core("settings").LoopSettings(prompt="haze"), core("settings").SamplerSettings(steps=1)
        expected = core("pipeline").restore(model.model.tiled(SIDE), large, loop, settings, seed=3)
        assert torch.equal(found, expected.image)

    @pytest.mark.parametrize("name", ["Sample", "Decode", "Correct", "Restore"])
    def test_what_has_no_room_in_tiles_either_is_explained(self, calls, little, core, management, monkeypatch, name):
        unloaded = []
        monkeypatch.setattr(management, "unload_all_models", lambda: unloaded.append(True))
        with little(0) as failed, pytest.raises(core("errors").AutoDIRError) as raised:
            calls[name]()
        message = str(raised.value)
        assert message.startswith("the memory of cpu does not hold a picture of 256 x 192 pixels")
        assert "scale it down" in message and "float16 in AutoDIR Load Model" in message and "\n" not in message
        assert len(failed) >= 2 and unloaded == [True]

    @pytest.mark.parametrize("name", ["Sample", "Restore"])
    def test_the_diffusion_is_tiled_too(self, calls, model, name):
        whole, factor = calls[name](), model.model.factor
        with memory_of(SIDE, [factor], model.model.networks.unet) as failed:
            found = calls[name]()
        assert len(failed) == 1 and found.shape == whole.shape and not torch.equal(found, whole)

    def test_weights_that_have_no_room_are_explained(self, calls, management, core, monkeypatch):
        def full(patchers, **options):
            raise torch.cuda.OutOfMemoryError("tried to allocate 20 GiB")

        monkeypatch.setattr(management, "load_models_gpu", full)
        with pytest.raises(core("errors").AutoDIRError, match="close other programs"):
            calls["Decode"]()

    def test_half_precision_is_not_advised_twice(self, comfy):
        assert "float16" not in comfy("memory").out_of_memory_message(10, 10, torch.bfloat16)


class TestFreeMemory:
    def test_tiles_follow_what_comfyui_says_is_free(self, model, management, monkeypatch):
        for free, tile in ((10**12, None), (0, SIDE)):
            monkeypatch.setattr(management, "get_free_memory", lambda device, free=free: free)
            with model.loaded_for(HEIGHT, WIDTH) as autodir:
                assert autodir.stages.choose_tile_size("decode", HEIGHT, WIDTH) == tile


class TestCancel:
    @pytest.mark.parametrize("name", ["Sample", "Decode", "Correct", "Restore"])
    def test_no_network_starts_after_it(self, calls, model, management, monkeypatch, name):
        networks = model.model.networks
        parts = networks.unet, networks.vae.encoder, networks.vae.decoder, networks.scm
        with evaluations(*parts) as done:
            calls[name]()
        for limit in range(len(done)):
            with evaluations(*parts) as done, pytest.raises(CancelledError):
                monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", stopping_at(done, limit))
                calls[name]()
            assert len(done) == limit

    @pytest.mark.parametrize(
        ("name", "path"), [("Sample", "vae.encoder"), ("Sample", "unet"), ("Decode", "vae.decoder"), ("Correct", "scm")]
    )
    def test_tiles_are_evaluations_too(self, calls, model, management, monkeypatch, name, path):
        part = model.model.networks.get_submodule(path)
        unit = model.model.factor if name != "Correct" and path != "vae.encoder" else 1
        with memory_of(SIDE, [unit], part), evaluations(part) as done:
            calls[name]()
        tiles = len(done)
        assert tiles > 4
        with memory_of(SIDE, [unit], part), evaluations(part) as done, pytest.raises(CancelledError):
            monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", stopping_at(done, tiles - 2))
            calls[name]()
        assert len(done) == tiles - 2

    def test_so_are_the_layers_of_every_network(self, model, management, monkeypatch):
        """A tile keeps a CPU busy for seconds."""
        networks, latent = model.model.networks, torch.zeros(1, 4, 8, 8)
        text, picture = model.model.null_text, torch.zeros(1, 64, 64, 3)
        uses = {
            networks.unet: lambda: model.model.predict_noise(latent, 1.0, latent, text),
            networks.vae.encoder: lambda: model.model.encode(picture),
            networks.vae.decoder: lambda: model.model.decode(latent),
            networks.scm: lambda: model.model.correct(picture, picture),
            networks.clip.visual: lambda: model.model.assess(picture),
        }
        for network, use in uses.items():
            layers = [layer for layer in network.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.LayerNorm))]
            with evaluations(*layers) as done:
                use()
            for count in {1, len(done) // 2, len(done) - 1}:
                with evaluations(*layers) as stopped, pytest.raises(CancelledError):
                    stop = stopping_at(stopped, count)
                    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", stop)
                    use()
                assert len(stopped) == count
                monkeypatch.undo()


@contextmanager
def evaluations(*networks: torch.nn.Module) -> Iterator[list[torch.nn.Module]]:
    """The networks whose evaluations have ended, in order."""
    done = []
    handles = [part.register_forward_hook(lambda part, inputs, output: done.append(part)) for part in networks]
    try:
        yield done
    finally:
        for handle in handles:
            handle.remove()


def stopping_at(done: list[torch.nn.Module], count: int) -> Callable[[], None]:
    """What cancels once so many evaluations have ended."""

    def stop():
        if len(done) >= count:
            raise CancelledError

    return stop


class TestLoading:
    """Each network by itself, when it is to work."""

    @pytest.fixture
    def loads(self, management, monkeypatch) -> list[tuple[list[str], int]]:
        """The networks of each load, and the memory that it asks for."""
        loads = []

        def load(patchers, *, memory_required, force_full_load):
            assert force_full_load
            loads.append(([type(patcher.model.network).__name__ for patcher in patchers], memory_required))

        monkeypatch.setattr(management, "load_models_gpu", load)
        return loads

    def test_what_works_is_loaded_and_nothing_else(self, node, model, large, loads):
        node("Assess").assess(model, large, "")
        assert {tuple(names) for names, _ in loads} == {("CLIP",)}

    def test_a_round_takes_them_in_turn(self, model, large, loads, calls):
        """Encode, sample, decode, correct; no step of the diffusion asks again."""
        loads.clear()
        calls["Restore"]()
        found = [names[0] for names, _ in loads if names != ["CLIP"]]
        assert found == ["AutoencoderKL", "UNet2DConditionModel", "AutoencoderKL", "NAFNet"]
        assert all(len(names) == 1 for names, _ in loads)

    def test_what_is_at_work_stays(self, model, loads):
        networks = model.model.networks
        with networks.on_device("unet"), networks.on_device("clip"), networks.on_device("unet"):
            pass
        assert [names for names, _ in loads] == [["UNet2DConditionModel"], ["CLIP", "UNet2DConditionModel"]]
        assert not networks.present

    def test_no_finalizer_stays_behind(self, model, loads, management, monkeypatch):
        """ComfyUI makes one at each load of a model, and detaches the last one alone."""
        mine, other = (weakref.finalize(model, print) for _ in range(2))
        patchers = [model.patchers.patchers["unet"], object(), model.patchers.patchers["unet"]]
        entries = zip(patchers, (mine, other, None), strict=True)
        loaded = [SimpleNamespace(model=patcher, model_finalizer=finalizer) for patcher, finalizer in entries]
        monkeypatch.setattr(management, "current_loaded_models", loaded)
        with model.model.networks.on_device("unet"):
            pass
        assert not mine.alive and other.alive
        other.detach()

    @pytest.mark.parametrize(("size", "pixels"), [((512, 256), 512 * 256), ((4000, 6000), 1024**2)])
    def test_room_is_asked_for_as_comfyui_estimates_its_vae(self, model, loads, size, pixels):
        """17 = 2178 / 128 values per pixel and base channel; never for more than a tile."""
        with model.load(*size).networks.on_device("vae"):
            pass
        base_channels, bytes_per_value = 32, 4
        assert loads == [(["AutoencoderKL"], 17 * base_channels * pixels * bytes_per_value)]

    def test_what_comfyui_left_behind_is_moved(self, comfy):
        """As with --novram, where plain torch layers stay on the CPU and pass as loaded."""
        memory = comfy("memory")
        patcher = memory.ModelPatcher(memory.AutoDIRNetwork(torch.nn.Linear(2, 2)), torch.device("meta"), None)
        memory.move_remaining_weights(patcher)
        assert {parameter.device.type for parameter in patcher.model.parameters()} == {"meta"}
        assert patcher.model.model_loaded_weight_memory == patcher.model_size()

    def test_what_is_in_place_is_left_alone(self, model):
        patcher = model.patchers.patchers["unet"]
        with model.model.networks.on_device("unet"):
            assert not hasattr(patcher.model, "model_loaded_weight_memory")


class TestPrecision:
    @pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
    def test_auto_follows_comfyui(self, pack, management, monkeypatch, half):
        monkeypatch.setattr(management, "should_use_fp16", lambda device: half == torch.float16)
        monkeypatch.setattr(management, "should_use_bf16", lambda device: True)
        monkeypatch.setattr(management, "vae_dtype", lambda device, allowed: allowed[0])
        dtypes = {
            part: pack.load.choose_dtype(part, "auto", torch.device("cpu")) for part in ("unet", "clip", "scm", "vae")
        }
        # a CPU has no bfloat16 that is fast, so the float16 that the SCM cannot take becomes float32 here
        scm = torch.float32 if half == torch.float16 else half
        assert dtypes == {"unet": half, "clip": half, "scm": scm, "vae": torch.bfloat16}

    def test_a_chosen_one_counts(self, pack):
        assert pack.load.choose_dtype("vae", "bfloat16", torch.device("cpu")) == torch.bfloat16
        assert pack.load.choose_dtype("unet", "float32", torch.device("cpu")) == torch.float32
