"""Files of weights: what is accepted, what is refused and with which words, and what is never executed."""

from __future__ import annotations

import json
import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

import autodir_core as ad
from autodir_core.checkpoint.key_map import NOT_NEEDED
from autodir_core.checkpoint.load import official_state, plan, save_model
from autodir_core.checkpoint.reader import LazyStateDict, TensorInfo, open_state_dict
from autodir_core.networks.config import ModelMetadata
from tests.conftest import GOLDEN, tiny_state


@pytest.fixture(scope="session")
def lightning_path(tmp_path_factory):
    """The tiny model as PyTorch Lightning 1.4 writes it: buffers, optimiser state and a foreign class in the pickle."""
    path = tmp_path_factory.mktemp("ckpt") / "tiny.ckpt"
    buffers = {key: torch.zeros(1000) for key in NOT_NEEDED}
    callbacks = {Foreign: {"best_model_score": torch.tensor(1.0)}}
    torch.save({"state_dict": {**buffers, **tiny_state()}, "callbacks": callbacks, "global_step": 7}, path)
    return rename_class(path)


class Foreign:
    """Stands for a class of a package that is not installed."""


def rename_class(path):
    """The same checkpoint, its class named after a module that cannot be imported."""
    renamed = path.with_name("lightning.ckpt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(renamed, "w") as new:
        for info in old.infolist():
            data = old.read(info.filename)
            if info.filename.endswith("data.pkl"):
                module, length = Foreign.__module__.encode(), len(Foreign.__module__)
                assert data.count(module) >= 1
                data = data.replace(module, b"x" * length)
            new.writestr(info.filename, data)
    return renamed


def manifest(name: str) -> dict[str, TensorInfo]:
    entries = json.loads((GOLDEN / name / "manifest.json").read_text(encoding="utf-8"))
    return {key: TensorInfo(tuple(shape), getattr(torch, dtype), 0) for key, (shape, dtype) in entries.items()}


def test_every_official_key_is_accounted_for(tmp_path):
    entries = manifest("full")
    assert len(entries) == 2202
    recipe = plan(LazyStateDict(tmp_path / "official.ckpt", "test", entries), ModelMetadata())
    used = {key for keys in recipe.key_map.values() for key in keys}
    assert used.isdisjoint(NOT_NEEDED)
    assert used | set(NOT_NEEDED) == set(entries)
    parameters = sum(torch.Size(shape).numel() for shape in recipe.shapes.values())
    assert parameters == 1_486_787_503
    assert recipe.config.unet.channels == (320, 640, 1280, 1280)
    assert recipe.config.unet.attention == (True, True, True, False)
    assert recipe.config.vae.channels == (128, 256, 512, 512)
    assert (recipe.config.clip.image, recipe.config.clip.vision_layers) == (224, 24)
    assert recipe.config.scm.encoder_blocks == (2, 2, 4, 8)


def test_lightning_checkpoint_gives_the_same_model(lightning_path, tiny):
    with pytest.raises((pickle.UnpicklingError, AttributeError, ModuleNotFoundError)):
        torch.load(lightning_path, weights_only=True)
    metadata = {"unet_heads": 4, "text_heads": 4, "vision_heads": 4}
    file = open_state_dict(lightning_path)
    recipe = plan(file, ModelMetadata(**metadata))
    with file.reader() as reader:
        for key in recipe.key_map:
            for name in recipe.key_map[key]:
                assert torch.equal(reader.read(name), tiny_entry(tiny, name)), name


_official: dict[int, dict[str, torch.Tensor]] = {}


def tiny_entry(model, name):
    return _official.setdefault(id(model), official_state(model.networks, model.config))[name]


def test_official_names_survive_the_round_trip_bit_for_bit(tiny):
    saved, original = official_state(tiny.networks, tiny.config), tiny_state()
    assert saved.keys() == original.keys()
    assert all(torch.equal(saved[key], original[key]) for key in original)


def test_a_pickle_never_runs_anything(tmp_path):
    target = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {target}",)

    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(2), "b": Evil()}}, path)
    assert list(open_state_dict(path).entries) == ["a"]
    with pytest.raises(ad.CheckpointError, match="not an AutoDIR model"):
        ad.load_autodir(path, device="cpu")
    assert not target.exists()


def test_views_and_parameters_are_read_as_saved(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    state = {"turned": base.T, "part": base[1:3, 2:5], "half": base.half(), "parameter": torch.nn.Parameter(base)}
    torch.save(state, tmp_path / "views.pt")
    file = open_state_dict(tmp_path / "views.pt")
    with file.reader() as reader:
        for key, tensor in state.items():
            assert torch.equal(reader.read(key), tensor.detach()), key
        assert reader.read("part", torch.float16).dtype == torch.float16


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"PK\x03\x04 and then nothing", "truncated or damaged"),
        (b"just some text that is no model at all", "neither"),
        (pickle.dumps({"a": 1}, protocol=2), "before version 1.6"),
    ],
)
def test_other_files_are_named(tmp_path, content, words):
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    with pytest.raises(ad.CheckpointError, match=words):
        ad.load_autodir(path, device="cpu")


def test_truncated_files_are_named(tmp_path, tiny_path, lightning_path):
    for source, words in ((tiny_path, "truncated"), (lightning_path, "truncated or damaged")):
        data = source.read_bytes()
        for share in (0.001, 0.5, 0.999):
            cut = tmp_path / f"cut{source.suffix}"
            cut.write_bytes(data[: int(len(data) * share)])
            with pytest.raises(ad.CheckpointError, match=words):
                ad.load_autodir(cut, device="cpu")


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(ad.CheckpointError, match="is a folder"):
        ad.load_autodir(tmp_path, device="cpu")
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ad.CheckpointError, match="diffusers folder"):
        ad.load_autodir(tmp_path, device="cpu")
    with pytest.raises(ad.CheckpointError, match="does not exist"):
        ad.load_autodir(tmp_path / "no.safetensors", device="cpu")


@pytest.mark.parametrize(
    ("keys", "guess"),
    [
        ({"model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3), "cond_stage_model.x": (1,)}, "plain Stable"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (320, 8, 3, 3), "cond_stage_model.x": (1,)}, "InstructPix"),
        ({"lora_unet_down.lora_up.weight": (4, 4)}, "LoRA"),
        ({"down_blocks.0.resnets.0.conv1.weight": (4, 4)}, "diffusers folder"),
        ({"text_model.encoder.layers.0.layer_norm1.bias": (4,)}, "CLIP"),
        ({"something.else": (4,)}, "does not know"),
    ],
)
def test_foreign_checkpoints_are_guessed(tmp_path, keys, guess):
    path = tmp_path / "foreign.safetensors"
    save_file({key: torch.zeros(shape) for key, shape in keys.items()}, path)
    with pytest.raises(ad.CheckpointError, match=guess):
        ad.load_autodir(path, device="cpu")
    assert guess in ad.inspect(path).guess


def test_missing_and_foreign_keys_are_listed(tmp_path, tiny_path):
    state = load_file(tiny_path)
    state["NAFNet.intro.extra"] = state.pop("NAFNet.intro.bias")
    path = tmp_path / "wrong.safetensors"
    save_file(state, path, metadata={"autodir": '{"unet_heads": 4, "text_heads": 4, "vision_heads": 4}'})
    with pytest.raises(ad.CheckpointError) as refusal:
        ad.load_autodir(path, device="cpu")
    assert "1 keys missing (NAFNet.intro.bias)" in str(refusal.value)
    assert "1 keys unexpected (NAFNet.intro.extra)" in str(refusal.value)


def test_a_tensor_of_another_size_is_named(tmp_path, tiny_path):
    state = load_file(tiny_path)
    state["NAFNet.ending.weight"] = torch.zeros(3, 16, 5, 5)
    path = tmp_path / "wrong.safetensors"
    save_file(state, path, metadata={"autodir": '{"unet_heads": 4, "text_heads": 4, "vision_heads": 4}'})
    with pytest.raises(ad.CheckpointError, match=r"NAFNet.ending.weight has shape \[3, 16, 5, 5\]"):
        ad.load_autodir(path, device="cpu")


def test_head_counts_that_do_not_fit_are_explained(tmp_path):
    save_file(tiny_state(), tmp_path / "headless.safetensors")
    with pytest.raises(ad.CheckpointError, match="must say its text_heads in the safetensors metadata"):
        ad.load_autodir(tmp_path / "headless.safetensors", device="cpu")


@pytest.mark.parametrize("text", ["{not json", '{"unknown": 1}'])
def test_metadata_that_makes_no_sense(tmp_path, text):
    path = tmp_path / "odd.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"autodir": text})
    with pytest.raises(ad.CheckpointError, match="metadata"):
        ad.load_autodir(path, device="cpu")


def test_convert_keeps_the_numbers_and_the_correction_wide(tmp_path, lightning_path, tiny):
    half, full = tmp_path / "half.safetensors", tmp_path / "full.safetensors"
    ad.convert(lightning_path_with_heads(tmp_path, lightning_path), half, torch.float16)
    state = load_file(half)
    assert state["NAFNet.intro.weight"].dtype == torch.bfloat16
    assert state["model.diffusion_model.out.2.weight"].dtype == torch.float16
    assert NOT_NEEDED.isdisjoint(state)
    save_model(full, official_state(tiny.networks, tiny.config), tiny.metadata, torch.float32)
    again = ad.load_autodir(full, device="cpu")
    image = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.encode(image), tiny.encode(image))
    assert again.metadata == tiny.metadata


def lightning_path_with_heads(tmp_path, lightning_path):
    """The plan needs no head counts to be complete, only sizes that they divide: the tiny widths have 4 heads."""
    file = open_state_dict(lightning_path)
    with file.reader() as reader:
        state = {key: reader.read(key) for key in file.entries}
    path = tmp_path / "heads.safetensors"
    save_file(state, path, metadata={"autodir": '{"unet_heads": 4, "text_heads": 4, "vision_heads": 4}'})
    return path


def test_a_written_model_is_as_readable_as_any_file(tmp_path, tiny):
    usual = tmp_path / "usual.txt"
    usual.touch()
    save_model(tmp_path / "model.safetensors", official_state(tiny.networks, tiny.config), tiny.metadata, torch.float16)
    assert (tmp_path / "model.safetensors").stat().st_mode == usual.stat().st_mode


def test_inspect_reads_the_header(tiny_path):
    seen = ad.inspect(tiny_path)
    assert (seen.kind, seen.guess, seen.problem) == ("safetensors", "an AutoDIR model", None)
    assert seen.metadata.unet_heads == 4 and seen.metadata.labels == ad.LABELS
    assert seen.parameters["SCM"] > 10_000 and set(seen.dtypes) == {"float32"}
