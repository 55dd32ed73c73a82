"""One short pass of the whole recipe; going on from a file; the official layout; what is written loads everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import autodir_core as ad
from autodir_core.checkpoint.key_map import CLIP_PREFIX, SCM_PREFIX, UNET_PREFIX
from autodir_core.checkpoint.save import official_state
from autodir_core.imaging.files import read_picture
from autodir_lab.training import STAGE_NAMES
from autodir_lab.training.data.crops import CropConfig
from autodir_lab.training.data.dataset import full_batch
from autodir_lab.training.data.sources import synthetic_data
from autodir_lab.training.init.model import init_model
from autodir_lab.training.objectives.scm import scm_objective
from autodir_lab.training.pipeline import STAGES, TrainingRun, train_stages
from autodir_lab.training.recipes.recipe import read_recipe

MANIFEST = Path(__file__).resolve().parents[2] / "golden" / "manifest.json"


@pytest.fixture
def official(tiny_path, scenes, tmp_path):
    """The official recipe in the official layout at small size, for a few short steps."""
    recipe = read_recipe("official")
    recipe = replace(
        recipe,
        biqa=replace(recipe.biqa, steps=2, batch_size=4, precision="float32"),
        ldm=replace(recipe.ldm, steps=2, batch_size=4, gradient_accumulation_steps=2, precision="float32"),
        scm=replace(recipe.scm, steps=2, batch_size=2, precision="float32"),
        biqa_objective=replace(recipe.biqa_objective, crops=CropConfig(224, clean_fraction=0.125)),
        ldm_objective=replace(recipe.ldm_objective, crops=CropConfig(64, clean_fraction=0.125)),
        scm_objective=replace(recipe.scm_objective, crops=CropConfig(64, clean_fraction=0.125)),
    )
    model = ad.load_autodir(tiny_path, device="cpu", dtype="float32")
    return TrainingRun(model, synthetic_data(scenes, model.labels), recipe, tmp_path / "run", from_scratch=False)


def test_all_stages_are_trained_and_load(small, data, tmp_path, few_crops):
    messages = []
    model = init_model(small)
    fresh = init_model(small)
    training = TrainingRun(model, data, small, tmp_path, from_scratch=True, notify=messages.append)
    path = train_stages(training, STAGE_NAMES, tmp_path / "mini.safetensors")
    seen = ad.inspect(path)
    assert seen.problem is None and seen.metadata.name == "autodir-mini" and "procedural" in seen.metadata.provenance
    loaded = ad.load_autodir(path, device="cpu")
    for trained, start in zip(loaded.networks.children(), fresh.networks.children(), strict=True):
        moved = [
            not torch.equal(a, b.half().float()) for a, b in zip(trained.parameters(), start.parameters(), strict=True)
        ]
        assert any(moved)
    latents = loaded.encode(torch.rand(2, 64, 64, 3))
    assert latents.shape == (2, 8, 32, 32) and 0.5 < latents.std() * loaded.metadata.latent_scale < 2
    restored = ad.restore(loaded, torch.rand(1, 20, 30, 3), sampler=ad.SamplerSettings(steps=1))
    assert restored.image.shape == (1, 20, 30, 3)
    assert [line.partition(":")[0] for line in messages] == ["biqa", "ldm", "scm"]
    assert all("GiB of memory" in line for line in messages)
    for name, columns in {"biqa-2": 2, "ldm-2": 3, "scm-2": 4}.items():
        height, width = read_picture(tmp_path / f"{name}.png").image.shape[1:3]
        assert width == columns * 128 and height > 8 * 128


def test_stages_build_on_finished_ones(small, data, tmp_path, few_crops):
    vae = replace(small, vae=replace(small.vae, steps=0))
    train_stages(
        TrainingRun(init_model(vae), data, vae, tmp_path, from_scratch=True), ("vae",), tmp_path / "a.safetensors"
    )
    later = init_model(vae)
    train_stages(TrainingRun(later, data, vae, tmp_path, from_scratch=True), ("ldm",), tmp_path / "b.safetensors")
    first, second = (load_file(tmp_path / f"{name}.safetensors") for name in "ab")
    changed = {key for key in first if not torch.equal(first[key], second[key])}
    assert changed and all(key.startswith(UNET_PREFIX) for key in changed)


def test_the_names_of_the_stages_are_those_of_the_records():
    assert tuple(STAGES) == STAGE_NAMES
    for name, stage in STAGES.items():
        earlier = STAGE_NAMES[: STAGE_NAMES.index(name)]
        assert stage.name == name and set(stage.needs) <= set(earlier)


@pytest.mark.parametrize(
    ("stage", "prefix", "frozen"),
    [("biqa", CLIP_PREFIX, "text_model"), ("ldm", UNET_PREFIX, None), ("scm", SCM_PREFIX, None)],
)
def test_the_official_layout_trains_on(official, tiny_path, stage, prefix, frozen):
    """Real steps with the official losses; exactly the unfrozen part of the file changes."""
    target = official.folder / "trained.safetensors"
    train_stages(official, (stage,), target)
    before, after = load_file(tiny_path), load_file(target)
    assert before.keys() == after.keys()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed and all(key.startswith(prefix) for key in changed)
    assert not any(frozen in key or "logit_scale" in key for key in changed if frozen)
    whole = {key for key in before if key.startswith(prefix)}
    untouched = {key.removeprefix(prefix) for key in whole - changed}
    assert all(frozen and key.startswith((frozen, "text_projection", "logit_scale")) for key in untouched)
    assert f"training of {stage} continued" in ad.inspect(target).metadata.provenance


def test_the_loss_falls_in_the_official_layout(official):
    """On a batch that training did not see."""
    recipe = replace(official.recipe, scm=replace(official.recipe.scm, steps=12))
    objective = scm_objective(official.model, official.data, recipe.scm_objective)
    with torch.no_grad():
        before = objective(full_batch(99, 4))["mse"]
        with torch.enable_grad():
            train_stages(replace(official, recipe=recipe), ("scm",), official.folder / "trained.safetensors")
        assert objective(full_batch(99, 4))["mse"] < 0.9 * before


def test_without_steps_the_file_comes_back_bit_for_bit(official, tiny_path):
    recipe = replace(official.recipe, ldm=replace(official.recipe.ldm, steps=0))
    target = official.folder / "same.safetensors"
    train_stages(replace(official, recipe=recipe), ("ldm",), target)
    before, after = load_file(tiny_path), load_file(target)
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert ad.inspect(target).metadata.unet_heads == 4


def test_a_checkpoint_has_every_key_of_the_official_file(official):
    target = official.folder / "official.ckpt"
    recipe = replace(official.recipe, ldm=replace(official.recipe.ldm, steps=0))
    train_stages(replace(official, recipe=recipe), ("ldm",), target)
    state = torch.load(target, weights_only=True)["state_dict"]
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    assert {key: [list(v.shape), str(v.dtype).removeprefix("torch.")] for key, v in state.items()} == manifest
    ours = official_state(official.model.networks, official.model.config)
    assert all(torch.equal(state[key], ours[key]) for key in ours)
