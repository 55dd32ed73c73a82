"""To ComfyUI Model on a real ComfyUI: core's own samplers, text encoder and autoencoder give what our nodes give."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.distance import relative
from tests.host.conftest import SEED, STEPS, pixels
from tests.host.server import ROOT, Server, environment

pytestmark = pytest.mark.host

TINY, MINI = "tiny.safetensors", "autodir-mini (embedded)"
PAPER, STRONG = (1.0, 1.0), (7.5, 1.5)
TEXT = "A photo needs haze artifact reduction"
WIDTH, HEIGHT = 64, 48
"""A multiple of both models' strides: nothing is padded here and nothing cropped there."""

Graph = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def start(file: str, text: str = TEXT) -> Graph:
    """The model in both forms, the picture and the texts."""
    return {
        "model": node("AutoDIRLoadModel", file=file, precision="auto"),
        "native": node("AutoDIRToComfyUIModel", model=["model", 0]),
        "photo": node("LoadImage", image="small.png"),
        "picture": node("ImageCrop", image=["photo", 0], width=WIDTH, height=HEIGHT, x=0, y=0),
        "prompt": node("AutoDIRPrompt", model=["model", 0], text=text),
        "text": node("CLIPTextEncode", clip=["native", 1], text=text),
        "null": node("CLIPTextEncode", clip=["native", 1], text=""),
        "pair": node(
            "InstructPixToPixConditioning",
            positive=["text", 0],
            negative=["null", 0],
            vae=["native", 2],
            pixels=["picture", 0],
        ),
    }


def our_sampling(sampler: str, guidance: tuple[float, float]) -> Graph:
    text, image = guidance
    return {
        "sample": node(
            "AutoDIRSample",
            model=["model", 0],
            image=["picture", 0],
            conditioning=["prompt", 0],
            steps=STEPS,
            sampler=sampler,
            text_guidance=text,
            image_guidance=image,
            seed=SEED,
        ),
        "our latent": node("SaveLatent", samples=["sample", 0], filename_prefix="ours"),
    }


def core_sampling(sampler: str, guidance: tuple[float, float], model: str = "native") -> Graph:
    text, image = guidance
    return {
        "guider": node(
            "DualCFGGuider",
            model=[model, 0],
            cond1=["pair", 0],
            cond2=["pair", 1],
            negative=["null", 0],
            cfg_conds=text,
            cfg_cond2_negative=image,
            style="regular",
        ),
        "noise": node("RandomNoise", noise_seed=SEED),
        "sampler": node("KSamplerSelect", sampler_name=sampler),
        "sigmas": node("BasicScheduler", model=[model, 0], scheduler="normal", steps=STEPS, denoise=1.0),
        "drawn": node(
            "SamplerCustomAdvanced",
            noise=["noise", 0],
            guider=["guider", 0],
            sampler=["sampler", 0],
            sigmas=["sigmas", 0],
            latent_image=["pair", 2],
        ),
        "core latent": node("SaveLatent", samples=["drawn", 0], filename_prefix="core"),
    }


def latent(server: Server, outputs: dict[str, Any], name: str) -> torch.Tensor:
    (entry,) = outputs[name]["latents"]
    return load_file(server.file(entry))["latent_tensor"]


@pytest.mark.parametrize("guidance", [PAPER, STRONG], ids=str)
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
@pytest.mark.parametrize("file", [TINY, MINI])
def test_core_nodes_draw_our_latent(server, file, sampler, guidance):
    """With the samplers that draw no noise on the way, from the same seed."""
    outputs = server.run({**start(file), **our_sampling(sampler, guidance), **core_sampling(sampler, guidance)})
    assert relative(latent(server, outputs, "core latent"), latent(server, outputs, "our latent")) < 1e-4


@pytest.mark.parametrize("file", [TINY, MINI])
def test_ksampler_and_vae_decode_give_our_picture(server, file):
    graph = {
        **start(file),
        **our_sampling("euler", PAPER),
        "ksampler": node(
            "KSampler",
            model=["native", 0],
            positive=["pair", 0],
            negative=["pair", 1],
            latent_image=["pair", 2],
            seed=SEED,
            steps=STEPS,
            cfg=1.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "decode": node("AutoDIRDecode", model=["model", 0], latent=["sample", 0]),
        "core decode": node("VAEDecode", vae=["native", 2], samples=["ksampler", 0]),
        "ours": node("SaveImage", images=["decode", 0], filename_prefix="ours"),
        "core": node("SaveImage", images=["core decode", 0], filename_prefix="core"),
    }
    outputs = server.run(graph)
    ours, core = (pixels(server.file(outputs[name]["images"][0])).astype(int) for name in ("ours", "core"))
    assert ours.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(ours - core).max() <= 1
    assert ours.std() > 10


@pytest.mark.parametrize("file", [TINY, MINI])
def test_any_picture_size_runs(server, file):
    """72 x 50 pixels: core crops to multiples of 8; neither UNet can halve what is left without a rest."""
    graph = {**start(file), **core_sampling("euler_ancestral", STRONG)}
    graph["pair"]["inputs"]["pixels"] = ["photo", 0]
    graph["decode"] = node("VAEDecode", vae=["native", 2], samples=["drawn", 0])
    graph["core"] = node("SaveImage", images=["decode", 0], filename_prefix="core")
    (image,) = server.run(graph)["core"]["images"]
    assert pixels(server.file(image)).shape == (48, 72, 3)


def test_a_lora_patches_the_native_model_only(server):
    unpatched = server.run({**start(TINY), **our_sampling("euler", PAPER), **core_sampling("euler", PAPER)})
    before, core = latent(server, unpatched, "our latent"), latent(server, unpatched, "core latent")
    write_lora(server.base / "models/loras/strange.safetensors")
    lora = node("LoraLoaderModelOnly", model=["native", 0], lora_name="strange.safetensors", strength_model=1.0)
    patched = server.run({**start(TINY), "lora": lora, **core_sampling("euler", PAPER, "lora")})
    assert relative(latent(server, patched, "core latent"), core) > 1e-2
    # one more space: the same tokens, yet nothing that depends on the text comes from the cache
    again = server.run({**start(TINY, TEXT + " "), **our_sampling("euler", PAPER), **core_sampling("euler", PAPER)})
    assert torch.equal(latent(server, again, "our latent"), before)
    assert torch.equal(latent(server, again, "core latent"), core)


def write_lora(path: Path) -> None:
    """A LoRA of rank 2 for the values that the middle block reads from the text, 64 wide in the tiny model."""
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_v"
    generator = torch.Generator().manual_seed(0)
    up, down = torch.randn(64, 2, generator=generator), torch.randn(2, 64, generator=generator)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}, path)


INSIDE = """
import sys
pack, target, tiny = sys.argv[1:]
sys.argv[1:] = ["--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import utils.extra_config
import importlib.util, json, resource, torch, types
import nodes, comfy.model_detection, comfy.sd
from comfy_extras import nodes_custom_sampler as core
from comfy_extras.nodes_ip2p import InstructPixToPixConditioning

spec = importlib.util.spec_from_file_location("autodir", f"{pack}/__init__.py", submodule_search_locations=[pack])
sys.modules["autodir"] = loaded = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loaded)
from autodir import autodir_core
from autodir.autodir_core.model import AutoDIR, load_autodir
from autodir.autodir_core.networks.build import Networks
from autodir.autodir_core.diffusion.noise import seeded_noise
from autodir.autodir_core.checkpoint.detect import infer_config
from autodir.autodir_core.checkpoint.key_map import UNET_PREFIX, VAE_PREFIX, strip_prefix
from autodir.autodir_core.checkpoint.metadata import ModelMetadata
from autodir.autodir_core.errors import InputError
from autodir.nodes.comfy.memory import HostedModel
from autodir.nodes.comfy.models import check_widths

import comfy.model_patcher


class CorePatcher(comfy.model_patcher.ModelPatcher):
    pass


comfy.model_patcher.CoreModelPatcher = CorePatcher  # as the start of ComfyUI puts the one with dynamic memory there
OURS = loaded.NODE_CLASS_MAPPINGS
TEXTS = ["", "A photo needs haze artifact reduction", "remove the fog, then brighten it a little " * 5]
GUIDANCE = [(1.0, 1.0), (7.5, 1.5)]
STEPS, SEED = 6, 5


def native(autodir):
    hosted = HostedModel(autodir)
    return hosted, *OURS["AutoDIRToComfyUIModel"]().convert(hosted)


def embeddings(hosted, clip):
    ours = [OURS["AutoDIRPrompt"]().encode(hosted, text)[0][0][0] for text in TEXTS]
    return ours, [nodes.CLIPTextEncode().encode(clip, text)[0][0][0] for text in TEXTS]


def latents(hosted, model, clip, vae, picture, guidance):
    # core's sampler with our stream of noise: its own starts the seed's stream again after the first noise
    text, null = (nodes.CLIPTextEncode().encode(clip, words)[0] for words in (TEXTS[1], ""))
    full, image, empty = InstructPixToPixConditioning.execute(text, null, picture, vae).result
    noise, draw = seeded_noise(SEED, empty["samples"].shape)
    (sampler,) = core.KSamplerSelect().get_sampler("euler_ancestral")
    sampler.extra_options["noise_sampler"] = draw
    (guider,) = core.DualCFGGuider().get_guider(model, full, image, null, *guidance, "regular")
    (sigmas,) = core.BasicScheduler().get_sigmas(model, "normal", STEPS, 1.0)
    (start,) = core.RandomNoise().get_noise(SEED)
    drawn, _ = core.SamplerCustomAdvanced().sample(start, guider, sampler, sigmas, empty)
    prompt = OURS["AutoDIRPrompt"]().encode(hosted, TEXTS[1])[0]
    (ours,) = OURS["AutoDIRSample"]().sample(hosted, picture, prompt, STEPS, "euler_ancestral", *guidance, SEED)
    return ours["samples"], drawn["samples"]


def memory_of(weights):
    return {tensor.untyped_storage().data_ptr() for tensor in weights.state_dict().values()}


def inside(path):
    autodir = load_autodir(path, device="cpu")
    hosted, model, clip, vae = native(autodir)
    picture = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(1))
    odd = torch.rand(1, 50, 75, 3, generator=torch.Generator().manual_seed(2))
    parts = {"MODEL": model.model.diffusion_model, "CLIP": clip.cond_stage_model.clip_l.transformer}
    parts["VAE"] = vae.first_stage_model
    known = memory_of(autodir.networks)
    factor = autodir.factor
    cropped = odd[:, 50 % factor // 2 :, 75 % factor // 2 :][:, : 50 // factor * factor, : 75 // factor * factor]
    return {
        "patcher": type(model).__name__,
        "embeddings": embeddings(hosted, clip),
        "latents": [latents(hosted, model, clip, vae, picture, guidance) for guidance in GUIDANCE],
        "sigmas": (autodir_core.sigmas(STEPS), core.BasicScheduler().get_sigmas(model, "normal", STEPS, 1.0)[0]),
        "copied": {name: len(memory_of(part) - known) for name, part in parts.items()},
        "codes": (autodir.networks.vae.encode(cropped.movedim(-1, 1) * 2 - 1).latent_dist.mode(), vae.encode(odd)),
        "vae": (vae.latent_channels, vae.spacial_compression_encode(), vae.spacial_compression_decode()),
        "format": (model.model.latent_format.latent_channels, model.model.latent_format.scale_factor),
    }


def official_sizes():
    # memory that nobody writes to takes no room: what grows is what was copied
    manifest = json.load(open(f"{pack}/tests/golden/full/manifest.json"))
    config = infer_config({key: tuple(shape) for key, (shape, _) in manifest.items()}, ModelMetadata())
    with torch.device("meta"):
        networks = Networks(config)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, model, clip, vae = native(AutoDIR(networks.to_empty(device="cpu").eval(), config, ModelMetadata()))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    shapes = {key: shape for key, (shape, _) in manifest.items()}
    unet = {key: torch.empty(shape, device="meta") for key, shape in strip_prefix(shapes, UNET_PREFIX).items()}
    first_stage = {key: torch.empty(shape) for key, shape in strip_prefix(shapes, VAE_PREFIX).items()}
    detected = comfy.model_detection.model_config_from_unet(unet, "")
    detected.set_inference_dtype(torch.float32, None)
    return {
        "configs": (vars(model.model.model_config), vars(detected)),
        "classes": (type(model.model.model_config).__name__, type(detected).__name__),
        "unets": (repr(model.model.diffusion_model), repr(detected.get_model(unet, device="meta").diffusion_model)),
        "vaes": (repr(vae.first_stage_model), repr(comfy.sd.VAE(sd=first_stage).first_stage_model)),
        "megabytes": grown / 1024,
    }


def refusal(**channels):
    parts = {part: types.SimpleNamespace(channels=widths) for part, widths in channels.items()}
    try:
        check_widths(types.SimpleNamespace(config=types.SimpleNamespace(**parts)))
    except InputError as error:
        return str(error)


with torch.inference_mode():
    results = {"official": official_sizes(), "tiny": inside(tiny), "mini": inside(None)}
for config in results["official"]["configs"]:
    config["latent_format"] = vars(config["latent_format"])
results["refused"] = refusal(unet=(48, 96), vae=(32, 64))
torch.save(results, target)
"""
"""What cannot be asked over HTTP, in ComfyUI's own process environment and on its own node classes."""


@pytest.fixture(scope="module")
def inside(server: Server, tiny_path: Path) -> dict[str, Any]:
    target = server.base / "inside.pt"
    command = [server.python, "-c", INSIDE, str(ROOT), str(target), str(tiny_path)]
    done = subprocess.run(command, cwd=server.comfyui, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return torch.load(target)


@pytest.mark.parametrize("which", ["tiny", "mini"])
class TestInside:
    def test_the_ancestral_sampler_gives_our_latent_from_the_same_noise(self, inside, which):
        for ours, core in inside[which]["latents"]:
            assert relative(core, ours) < 1e-4

    def test_guidance_changes_the_latent(self, inside, which):
        """So that the test above compares two different things."""
        (paper, _), (strong, _) = inside[which]["latents"]
        assert relative(strong, paper) > 0.05

    def test_clip_text_encode_is_our_prompt(self, inside, which):
        for ours, core in zip(*inside[which]["embeddings"], strict=True):
            assert relative(core, ours) < 1e-5

    def test_the_scheduler_normal_has_the_official_noise_levels(self, inside, which):
        ours, core = inside[which]["sigmas"]
        assert torch.equal(ours, core)

    def test_the_model_is_managed_as_those_of_core(self, inside, which):
        """Not with the ordinary patcher, which knows no dynamic video memory."""
        assert inside[which]["patcher"] == "CorePatcher"

    def test_no_weight_is_copied(self, inside, which):
        assert inside[which]["copied"] == {"MODEL": 0, "CLIP": 0, "VAE": 0}

    def test_the_encoder_crops_to_its_own_factor(self, inside, which):
        ours, core = inside[which]["codes"]
        assert relative(core, ours) < 1e-5

    def test_sizes_of_the_latent_are_the_models_own(self, inside, which):
        channels, factor = {"tiny": (4, 8), "mini": (8, 4)}[which]
        assert inside[which]["vae"] == (channels, factor, factor)
        assert inside[which]["format"] == (channels, 0.18215)


class TestOfficialSizes:
    """The full model, in memory that was never written to."""

    def test_it_is_what_comfyui_detects(self, inside):
        official = inside["official"]
        assert official["classes"] == ("SD15_instructpix2pix",) * 2
        for ours, detected in (official["configs"], official["unets"], official["vaes"]):
            assert ours == detected

    def test_nothing_but_the_vae_is_ever_copied(self, inside):
        """5.9 GB of weights; ComfyUI's constructor copies the VAE's 0.34 GB, which are freed again."""
        assert inside["official"]["megabytes"] < 600


def test_widths_that_comfyui_cannot_have_are_explained(inside):
    assert inside["refused"].startswith("ComfyUI's own networks need a first width that 32 divides, this model's UNet")
    assert "\n" not in inside["refused"]
