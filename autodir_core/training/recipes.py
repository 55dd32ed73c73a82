"""Recipes: which networks are built in which size, and how long each part is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..checkpoint import official_state, restore_buffers, save_model
from ..model import AutoDIR
from ..networks import Networks
from ..shapes import CLIPSizes, ModelSizes, SCMSizes, Traits, UNetSizes, VAESizes
from .biqa import BIQAPlan, biqa_objective
from .data import cached_scenes
from .ldm import LDMPlan, ldm_objective
from .linear import start_autoencoder, start_diffusion
from .loop import LoopPlan, train
from .scm import SCMPlan, scm_objective
from .start import spread_prompts, start_correction, start_vision
from .vae import VAEPlan, scale_latents, vae_objective

MINI_GROUPS = 8
MINI_TRAITS = Traits(
    unet_heads=4,
    text_heads=4,
    vision_heads=6,
    norm_groups=MINI_GROUPS,
    scm_weight={},
    name="autodir-mini",
    provenance="trained by autodir_core.training on procedural pictures; no photographs, no downloaded data",
    licence="Apache-2.0",
)
MINI_SIZES = ModelSizes(
    unet=UNetSizes(
        in_channels=16,
        out_channels=8,
        channels=(64, 96, 96),
        blocks=1,
        attention=(False, False, True),
        context=64,
        heads=4,
        groups=MINI_GROUPS,
    ),
    vae=VAESizes(channels=(32, 48, 64), blocks=1, latent_channels=8, groups=MINI_GROUPS),
    clip=CLIPSizes(
        embedding=64,
        text_width=64,
        text_layers=2,
        text_heads=4,
        text_hidden=128,
        vocabulary=49408,
        vision_width=192,
        vision_layers=4,
        vision_heads=6,
        vision_hidden=768,
        patch=8,
        image=224,
    ),
    scm=SCMSizes(width=32, encoder_blocks=(1, 1, 2), middle_blocks=3, decoder_blocks=(1, 1, 1)),
)


@dataclass(frozen=True)
class MiniRecipe:
    """Everything that decides what the mini model becomes; the numbers are those of the shipped file."""

    sizes: ModelSizes = MINI_SIZES
    traits: Traits = MINI_TRAITS
    scenes: int = 1600
    seed: int = 0
    prompt_steps: int = 300
    codec_steps: int = 2000
    biqa: LoopPlan = LoopPlan(steps=1500, learning_rate=4e-4, bfloat16=True)
    vae: LoopPlan = LoopPlan(steps=0, learning_rate=1e-4)
    ldm: LoopPlan = LoopPlan(steps=7000, learning_rate=7e-4)
    scm: LoopPlan = LoopPlan(steps=2000, learning_rate=1.5e-3, bfloat16=True)
    biqa_data: BIQAPlan = BIQAPlan()
    vae_data: VAEPlan = VAEPlan()
    ldm_data: LDMPlan = LDMPlan(start_weight=20.0)
    scm_data: SCMPlan = SCMPlan()


PARTS = ("biqa", "vae", "ldm", "scm")


def shortened(recipe: MiniRecipe, share: float) -> MiniRecipe:
    """The recipe with every part's steps multiplied by `share`, for a quick look or a longer training."""
    plans = {part: getattr(recipe, part) for part in PARTS}
    shorter = {part: replace(plan, steps=math.ceil(plan.steps * share)) for part, plan in plans.items()}
    return replace(recipe, **shorter)


def train_mini(
    folder: Path, recipe: MiniRecipe, *, parts: tuple[str, ...] = PARTS, save_to: Path | None = None
) -> Path:
    """Train the named parts of the mini model and write the model; the path of the file.

    Args:
        folder: holds the scenes, checkpoints, logs and the finished parts; an interrupted training goes on from there.
        recipe: sizes and plans.
        parts: of `PARTS`, in this order: "ldm" needs a trained "vae", "scm" both.
        save_to: the file to write; None is `autodir-mini.safetensors` in `folder`.
    """
    scenes = cached_scenes(folder, recipe.scenes, seed=recipe.seed)
    model = start_model(recipe)
    for part in PARTS:
        if part in parts:
            TRAINERS[part](model, scenes, recipe, folder)
        elif (folder / f"{part}-done.pt").exists():
            network = network_of(model, part)
            network.load_state_dict(torch.load(folder / f"{part}-done.pt", weights_only=True))
    path = save_to or folder / "autodir-mini.safetensors"
    save_model(path, official_state(model.networks, model.sizes), model.traits, torch.float16)
    return path


def start_model(recipe: MiniRecipe) -> AutoDIR:
    """Freshly built networks with their starts, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        networks = Networks(recipe.sizes)
        restore_buffers(networks)
        start_vision(networks.clip)
        start_correction(networks.scm)
        spread_prompts(networks.clip, steps=recipe.prompt_steps, seed=recipe.seed)
    return AutoDIR(networks.eval().requires_grad_(False), recipe.sizes, recipe.traits)


def network_of(model: AutoDIR, part: str) -> nn.Module:
    networks = model.networks
    return {"biqa": networks.clip, "vae": networks.vae, "ldm": networks.unet, "scm": networks.scm}[part]


def finish(model: AutoDIR, part: str, folder: Path) -> None:
    """Freeze a trained part and keep it for the parts that build on it."""
    network = network_of(model, part).requires_grad_(False).eval()
    torch.save(network.state_dict(), folder / f"{part}-done.pt")


def is_new(folder: Path, part: str) -> bool:
    """Whether a part's training begins, instead of going on from its checkpoint."""
    return not (folder / f"{part}.pt").exists()


def train_biqa(model: AutoDIR, scenes: np.ndarray, recipe: MiniRecipe, folder: Path) -> None:
    clip = model.networks.clip
    clip.visual.requires_grad_(True)
    clip.logit_scale.requires_grad_(True)
    objective = biqa_objective(clip, scenes, recipe.biqa_data, full_from=int(recipe.biqa.steps * 0.98))
    train("biqa", clip, objective, recipe.biqa, folder)
    clip.visual.patch_dropout = nn.Identity()
    finish(model, "biqa", folder)


def train_vae(model: AutoDIR, scenes: np.ndarray, recipe: MiniRecipe, folder: Path) -> None:
    vae = model.networks.vae
    if is_new(folder, "vae"):
        start_autoencoder(vae, scenes, steps=recipe.codec_steps, seed=recipe.seed)
    vae.requires_grad_(True)
    train("vae", vae, vae_objective(vae, scenes, recipe.vae_data), recipe.vae, folder)
    scale_latents(vae, scenes, 1 / model.traits.latent_scale, seed=recipe.seed)
    finish(model, "vae", folder)


def train_ldm(model: AutoDIR, scenes: np.ndarray, recipe: MiniRecipe, folder: Path) -> None:
    unet = model.networks.unet
    if is_new(folder, "ldm"):
        start_diffusion(unet, model.networks.vae, scenes, scale=model.traits.latent_scale, seed=recipe.seed)
    unet.requires_grad_(True)
    texts, null_text = model.prompts(model.labels).states.clone(), model.null_text.clone()
    objective = ldm_objective(
        unet, model.networks.vae, texts, null_text, scenes=scenes, plan=recipe.ldm_data, scale=model.traits.latent_scale
    )
    train("ldm", unet, objective, recipe.ldm, folder)
    finish(model, "ldm", folder)


def train_scm(model: AutoDIR, scenes: np.ndarray, recipe: MiniRecipe, folder: Path) -> None:
    # channels last: three times as fast on a CPU, the same numbers
    scm = model.networks.scm.requires_grad_(True).to(memory_format=torch.channels_last)
    train("scm", scm, scm_objective(model, scenes, recipe.scm_data), recipe.scm, folder)
    finish(model, "scm", folder)


TRAINERS = {"biqa": train_biqa, "vae": train_vae, "ldm": train_ldm, "scm": train_scm}
