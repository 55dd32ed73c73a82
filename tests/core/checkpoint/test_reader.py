"""Weights files from strangers: a pickle runs nothing, whatever opcode asks for it; all but tensors is ignored."""

from __future__ import annotations

import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file

import autodir_core as ad
from autodir_core.checkpoint.reader import TensorReader, open_state_dict


@pytest.fixture
def pickled(tmp_path):
    """Writes a checkpoint of one tensor whose pickle is replaced."""

    def write(data: bytes, name: str = "hostile.ckpt"):
        torch.save({"a": torch.zeros(2)}, tmp_path / "harmless.ckpt")
        path = tmp_path / name
        with zipfile.ZipFile(tmp_path / "harmless.ckpt") as old, zipfile.ZipFile(path, "w") as new:
            for info in old.infolist():
                new.writestr(info.filename, data if info.filename.endswith("data.pkl") else old.read(info.filename))
        return path

    return write


def dumps(value: object) -> bytes:
    """The pickle of a value, its tensors as `torch.save` refers to them."""
    return pickle.dumps(value, protocol=4)


class TestNothingRuns:
    """Each opcode that makes an object could run a command; `{command}` would leave a file behind."""

    OPCODES = {
        "REDUCE": b"cos\nsystem\n(V{command}\ntR",
        "INST": b"(V{command}\nios\nsystem\n",
        "OBJ": b"(cos\nsystem\nV{command}\no",
        "NEWOBJ": b"cos\nsystem\n(V{command}\nt\x81",
        "NEWOBJ_EX": b"cos\nsystem\n(V{command}\nt}\x92",
        "STACK_GLOBAL": b"Vos\nVsystem\n\x93(V{command}\ntR",
        "BUILD": b"cos\nsystem\n)R(dV__setstate__\ncos\nsystem\nsV__reduce__\ncos\nsystem\nsb(V{command}\ntR",
        "BUILD of slots": b"ccollections\nOrderedDict\n)R(NdVget\ncos\nsystem\nstb",
        "builtins": b"cbuiltins\neval\n(V__import__('os').system('{command}')\ntR",
        "dotted name": b"Vtorch\nVhub.os.system\n\x93(V{command}\ntR",
        "a name with Storage": b"cos\nsystemStorage\n(V{command}\ntR",
        "the rebuilding function": b"ctorch._utils\n_rebuild_tensor_v2\n(cos\nsystem\nV{command}\n((tR",
        "torch.load inside": b"ctorch.storage\n_load_from_bytes\n(V{command}\ntR",
        "attributes of a function": b"ctorch._utils\n_rebuild_parameter\n(NdV__code__\ncos\nsystem\nstb",
    }

    @pytest.fixture(autouse=True)
    def untouched(self, tmp_path):
        """Fails the test where a command ran."""
        yield
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("opcode", OPCODES)
    @pytest.mark.parametrize("place", ["root", "value", "key", "state dict"])
    def test_by_opcode(self, pickled, tmp_path, opcode, place):
        hostile = self.OPCODES[opcode].replace(b"{command}", f"touch {tmp_path}/ran".encode())
        around = {
            "root": (b"", b""),
            "value": (b"}Vevil\n", b"s"),
            "key": (b"}", b"K\x01s"),
            "state dict": (b"}Vstate_dict\n", b"s"),
        }
        before, after = around[place]
        path = pickled(b"\x80\x04" + before + hostile + after + b".")
        try:
            assert not open_state_dict(path).tensors
        except ad.CheckpointError as error:
            assert len(str(error).splitlines()) == 1
        with pytest.raises(ad.CheckpointError):
            ad.load_autodir(path, device="cpu")

    @pytest.mark.parametrize("nested", [False, True])
    def test_by_reduce_among_tensors(self, tmp_path, nested):
        class Evil:
            def __reduce__(self):
                return os.system, (f"touch {tmp_path}/ran",), {"state": 1}, iter([1, 2]), iter([("a", 1)])

        state = {"a": torch.ones(2), "b": Evil(), "c": [Evil()], ("d",): {"e": Evil()}}
        path = tmp_path / "evil.ckpt"
        torch.save({"state_dict": state, "optimizer": {"state": {0: state}}} if nested else state, path)
        file = open_state_dict(path)
        assert list(file.tensors) == ["a"] and torch.equal(file.tensors["a"], torch.ones(2))
        with pytest.raises(ad.CheckpointError, match="not an AutoDIR model"):
            ad.load_autodir(path, device="cpu")


def test_a_torchscript_archive_is_not_run(pickled):
    path = pickled(dumps({}))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("harmless/constants.pkl", dumps(()))
    with pytest.raises(ad.CheckpointError, match="no PyTorch state dict"):
        open_state_dict(path)


@pytest.mark.parametrize(
    "data",
    [b"", b".", b"garbage", dumps(None), dumps([1]), dumps({"state_dict": 5}), b"(" * 100_000, b"\x80\x04" + b"](" * 9],
)
def test_other_pickles_hold_no_tensors(pickled, data):
    path = pickled(data)
    try:
        assert not open_state_dict(path).tensors
    except ad.CheckpointError as error:
        assert "pickle that no state dict can be read from" in str(error) and len(str(error).splitlines()) == 1
    with pytest.raises(ad.CheckpointError):
        ad.load_autodir(path, device="cpu")


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    """The pickle may claim any shape; memory outside the storage stays out of reach."""
    path = tmp_path / "big.ckpt"
    torch.save({"a": torch.zeros(4)}, tmp_path / "small.ckpt")
    with zipfile.ZipFile(tmp_path / "small.ckpt") as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = old.read(info.filename)
            if info.filename.endswith("data.pkl"):
                assert data.count(b"K\x04\x85") == 1
                data = data.replace(b"K\x04\x85", b"J\x00\x00\x00\x40\x85")
            new.writestr(info.filename, data)
    with pytest.raises(ad.CheckpointError, match="no state dict can be read"):
        open_state_dict(path)


def test_views_and_parameters_are_read_as_saved(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    state = {"turned": base.T, "part": base[1:3, 2:5], "half": base.half(), "parameter": torch.nn.Parameter(base)}
    state |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "shared": base}
    torch.save(state, tmp_path / "views.pt")
    reader = TensorReader(tmp_path / "views.pt")
    for key, tensor in state.items():
        assert torch.equal(reader.read(key), tensor.detach()), key
    assert reader.read("part", torch.float16).dtype == torch.float16


@pytest.mark.parametrize("save", [torch.save, save_file])
def test_what_is_read_outlives_the_file(tmp_path, save):
    """Copies: the file may change or vanish while the model is in use."""
    state = {f"{i}": torch.full((1000,), float(i)) for i in range(40)}
    path = tmp_path / "model.bin"
    save(state, path)
    reader = TensorReader(path)
    read = {key: reader.read(key) for key in state}
    path.write_bytes(bytes(path.stat().st_size))
    assert all(torch.equal(read[key], state[key]) for key in state)


def test_the_content_decides_not_the_suffix(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "tensors.ckpt")
    assert open_state_dict(tmp_path / "tensors.ckpt").kind == "safetensors"
    torch.save({"a": torch.ones(1)}, tmp_path / "pickle.safetensors")
    with pytest.raises(ad.CheckpointError, match=r"rename it to \.ckpt"):
        open_state_dict(tmp_path / "pickle.safetensors")


def test_a_compressed_archive_is_refused(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "plain.ckpt")
    path = tmp_path / "packed.ckpt"
    with zipfile.ZipFile(tmp_path / "plain.ckpt") as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info.filename))
    with pytest.raises(ad.CheckpointError, match="compressed archive"):
        open_state_dict(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"GGUF\x03\x00\x00\x00", "GGUF"),
        (b"PK\x03\x04 and then nothing", "truncated or damaged"),
        (b"just some text that is no model at all", r"neither .*; fetch it again, or give the path of an AutoDIR"),
        (b"short", "neither"),
        (pickle.dumps({"a": 1}, protocol=2), "before version 1.6"),
    ],
)
def test_other_files_are_named(tmp_path, content, words):
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    with pytest.raises(ad.CheckpointError, match=words):
        ad.load_autodir(path, device="cpu")


def test_a_zip_archive_of_other_things(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.ckpt", "w") as archive:
        archive.writestr("photo.png", b"")
    with pytest.raises(ad.CheckpointError, match="no PyTorch state dict"):
        open_state_dict(tmp_path / "photos.ckpt")


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(ad.CheckpointError, match="is a folder"):
        ad.load_autodir(tmp_path, device="cpu")
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ad.CheckpointError, match="diffusers folder"):
        ad.load_autodir(tmp_path, device="cpu")
    with pytest.raises(ad.CheckpointError, match="does not exist"):
        ad.load_autodir(tmp_path / "no.safetensors", device="cpu")
