"""Files of weights: what is accepted, what is refused and with which words, and what is never executed."""

from __future__ import annotations

import json
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

import autodir_core as ad
from autodir_core.checkpoint.key_map import NOT_NEEDED
from autodir_core.checkpoint.load import plan_load
from autodir_core.checkpoint.metadata import ModelMetadata
from autodir_core.checkpoint.reader import LazyStateDict, TensorReader, open_state_dict
from autodir_core.checkpoint.save import official_state, save_model
from tests.conftest import GOLDEN, tiny_state


@pytest.fixture(scope="session")
def lightning_path(tmp_path_factory):
    """The tiny model as PyTorch Lightning 1.4 writes it: buffers, optimizer state and a foreign class in the pickle."""
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


def manifest(name: str) -> dict[str, torch.Tensor]:
    entries = json.loads((GOLDEN / name / "manifest.json").read_text(encoding="utf-8"))
    return {
        key: torch.empty(shape, dtype=getattr(torch, dtype), device="meta") for key, (shape, dtype) in entries.items()
    }


def test_every_official_key_is_accounted_for(tmp_path):
    entries = manifest("full")
    assert len(entries) == 2202
    plan = plan_load(LazyStateDict(tmp_path / "official.ckpt", "test", entries), ModelMetadata())
    used = {key for keys in plan.key_map.values() for key in keys}
    assert used.isdisjoint(NOT_NEEDED)
    assert used | set(NOT_NEEDED) == set(entries)
    parameters = sum(torch.Size(shape).numel() for shape in plan.shapes.values())
    assert parameters == 1_486_787_503
    assert plan.config.unet.channels == (320, 640, 1280, 1280)
    assert plan.config.unet.attention == (True, True, True, False)
    assert plan.config.vae.channels == (128, 256, 512, 512)
    assert (plan.config.clip.image, plan.config.clip.vision_layers) == (224, 24)
    assert plan.config.scm.encoder_blocks == (2, 2, 4, 8)


def test_lightning_checkpoint_gives_the_same_model(lightning_path, tiny):
    with pytest.raises((pickle.UnpicklingError, AttributeError, ModuleNotFoundError)):
        torch.load(lightning_path, weights_only=True)
    metadata = {"unet_heads": 4, "text_heads": 4, "vision_heads": 4}
    file = open_state_dict(lightning_path)
    plan = plan_load(file, ModelMetadata(**metadata))
    reader = TensorReader(lightning_path)
    expected = official_state(tiny.networks, tiny.config)
    for name in (name for names in plan.key_map.values() for name in names):
        assert torch.equal(reader.read(name), expected[name]), name


def test_official_names_survive_the_round_trip_bit_for_bit(tiny):
    saved, original = official_state(tiny.networks, tiny.config), tiny_state()
    assert saved.keys() == original.keys()
    assert all(torch.equal(saved[key], original[key]) for key in original)


def test_truncated_files_are_named(tmp_path, tiny_path, lightning_path):
    for source, words in ((tiny_path, "truncated"), (lightning_path, "truncated or damaged")):
        data = source.read_bytes()
        for share in (0.001, 0.5, 0.999):
            cut = tmp_path / f"cut{source.suffix}"
            cut.write_bytes(data[: int(len(data) * share)])
            with pytest.raises(ad.CheckpointError, match=words):
                ad.load_autodir(cut, device="cpu")


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
    assert "1 missing key (NAFNet.intro.bias)" in str(refusal.value)
    assert "1 unexpected key (NAFNet.intro.extra)" in str(refusal.value)


def test_a_tensor_of_another_size_is_named(tmp_path, tiny_path):
    state = load_file(tiny_path)
    state["NAFNet.ending.weight"] = torch.zeros(3, 16, 5, 5)
    path = tmp_path / "wrong.safetensors"
    save_file(state, path, metadata={"autodir": '{"unet_heads": 4, "text_heads": 4, "vision_heads": 4}'})
    with pytest.raises(ad.CheckpointError, match=r"NAFNet.ending.weight has shape \[3, 16, 5, 5\]"):
        ad.load_autodir(path, device="cpu")


def test_head_counts_that_do_not_fit_are_explained(tmp_path):
    save_file(tiny_state(), tmp_path / "headless.safetensors")
    with pytest.raises(ad.CheckpointError, match=r"text_heads = 12 does not divide a width of 64.* metadata entry"):
        ad.load_autodir(tmp_path / "headless.safetensors", device="cpu")


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
    state = {key: tensor.clone() for key, tensor in file.tensors.items()}
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


class TestValues:
    KEY = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"

    def write(self, folder, tiny_path, value):
        state = load_file(tiny_path)
        state[self.KEY][0, 0] = value
        save_file(state, folder / "odd.safetensors", metadata=dict(open_state_dict(tiny_path).metadata))
        return folder / "odd.safetensors"

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_value_that_is_no_number_is_refused_and_its_tensor_named(self, tmp_path, tiny_path, value):
        path = self.write(tmp_path, tiny_path, value)
        for use in (
            lambda: ad.load_autodir(path, device="cpu"),
            lambda: ad.convert(path, tmp_path / "new.safetensors"),
        ):
            with pytest.raises(ad.CheckpointError, match=f"{self.KEY} holds values that are not finite"):
                use()
        assert not (tmp_path / "new.safetensors").exists()
        seen = ad.inspect(path, values=True)
        assert seen.guess == "an AutoDIR model" and seen.problem is not None and self.KEY in seen.problem
        assert ad.inspect(path).problem is None, "the header alone is read unless asked to"

    def test_a_value_that_is_too_large_for_a_precision_is_explained(self, tmp_path, tiny_path):
        path = self.write(tmp_path, tiny_path, 1e5)
        with pytest.raises(ad.CheckpointError, match=rf"{self.KEY} has values that float16 does not hold; take"):
            ad.load_autodir(path, device="cpu", dtype="float16")
        assert ad.load_autodir(path, device="cpu", dtype="bfloat16").dtype == torch.bfloat16
        assert ad.inspect(path, values=True).problem is None


TELLING_KEYS = [
    "model.diffusion_model.input_blocks.0.0.weight",
    "model.diffusion_model.input_blocks.1.0.out_layers.3.weight",
    "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
    "model.diffusion_model.out.2.weight",
    "first_stage_model.encoder.down.0.block.0.conv1.weight",
    "first_stage_model.encoder.mid.attn_1.q.weight",
    "first_stage_model.post_quant_conv.weight",
    "model_assessment.clipmodel.text_projection.weight",
    "model_assessment.clipmodel.text_model.embeddings.position_embedding.weight",
    "model_assessment.clipmodel.text_model.encoder.layers.0.mlp.fc1.weight",
    "model_assessment.clipmodel.vision_model.embeddings.patch_embedding.weight",
    "model_assessment.clipmodel.vision_model.embeddings.position_embedding.weight",
    "NAFNet.intro.weight",
]
"""Those whose shapes the sizes of the networks are read from, and one that is not."""

MISSHAPEN = {
    "a single value": lambda shape: (),
    "nothing": lambda shape: (0, *shape[1:]),
    "one row": lambda shape: (1, *shape[1:]),
    "turned": lambda shape: (*shape[1:], shape[0]),
    "twice as much": lambda shape: (2 * shape[0], *shape[1:]),
    "another rank": lambda shape: (*shape, 2),
}


@pytest.mark.parametrize("change", MISSHAPEN)
@pytest.mark.parametrize("key", TELLING_KEYS)
def test_no_shape_breaks_the_detection(tiny_path, key, change):
    file = open_state_dict(tiny_path)
    tensors = {name: tensor.to("meta") for name, tensor in file.tensors.items()}
    shape = MISSHAPEN[change](tuple(tensors[key].shape))
    if shape == tuple(tensors[key].shape):
        pytest.skip("the same shape")
    tensors[key] = torch.empty(shape, device="meta")
    with pytest.raises(ad.CheckpointError, match=r"shape|misshapen|1 or more|does not divide|must be|missing key"):
        plan_load(LazyStateDict(tiny_path, "test", tensors), ModelMetadata.from_header(file.metadata))
