"""Open weights files (safetensors, PyTorch zip checkpoints) as memory maps, without running anything in them."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from . import inert_pickle
from .float8 import split_scales

OTHER_STARTS = {
    b"<!doctype": "a web page saved by a failed download; download the file itself again",
    b"<html": "a web page saved by a failed download; download the file itself again",
    b"version https://git-lfs": "a Git LFS pointer, not the file; run `git lfs pull` or download the file itself",
    b"gguf": "a GGUF file; AutoDIR needs .safetensors or .ckpt",
    b"rar!": "a RAR archive; unpack it first",
    b"7z": "a 7-Zip archive; unpack it first",
    b"\x1f\x8b": "a gzip archive; unpack it first",
}

PICKLE_FAILURES = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What reading a damaged or hostile pickle raises, in `pickle` and in `torch.load`."""

ARCHIVE_FAILURES = (zipfile.BadZipFile, OSError, ValueError, ArithmeticError, NotImplementedError, struct.error)
"""What reading the directory of a damaged zip archive raises."""

REMAPS = 16
"""How often a file is mapped while all of it is read, see `TensorReader`."""


@dataclass(frozen=True)
class LazyStateDict:
    """The tensors of a file by name: views of its memory map, whose values are read from the disk when they are used.

    Attributes:
        kind: the container, "safetensors" or "PyTorch checkpoint".
        metadata: texts of a safetensors header; empty for a checkpoint.
        scales: what those of `tensors` that are stored in 8 bits are multiplied by.
    """

    path: Path
    kind: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    scales: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {key: tuple(tensor.shape) for key, tensor in self.tensors.items()}


class TensorReader:
    """Copies tensors out of a file, holding little more than the copies.

    Pages of a memory map stay in memory once they are read, and neither library can give them back: a float32 file of
    the official size loaded in float16 took 2.8 times the memory of its weights. So a map is replaced by a fresh one
    after each sixteenth of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = LazyStateDict(path, "", {})
        self.bytes_left = 0

    def read(self, key: str, dtype: torch.dtype | None = None) -> Tensor:
        """Return a copy of one tensor, converted to `dtype` if it is given; in float32 what is stored in 8 bits."""
        if self.bytes_left <= 0:
            self.file = open_state_dict(self.path)
            self.bytes_left = self.path.stat().st_size // REMAPS
        tensor = self.file.tensors[key]
        self.bytes_left -= tensor.nbytes
        if key in self.file.scales:
            tensor = tensor.float() * self.file.scales[key]
        return tensor.to(dtype or tensor.dtype, copy=True)


def open_state_dict(path: str | Path) -> LazyStateDict:
    """Map a `.safetensors` file or a PyTorch zip checkpoint (`.ckpt`, `.pt`, `.pth`, `.bin`); only its header is read.

    The content decides, not the suffix. Nothing in a pickle is executed: classes it names become inert stubs.

    Raises CheckpointError where there is no such file, a folder, or another kind of file, with a guess at what it is.
    """
    path = Path(path)
    if path.is_dir():
        guess = "a diffusers folder" if (path / "model_index.json").exists() else "a folder"
        raise CheckpointError(f"{path} is {guess}; AutoDIR needs one .safetensors or .ckpt file")
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give the path of an AutoDIR .safetensors or .ckpt file")
    try:
        with path.open("rb") as handle:
            start = handle.read(32)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    _reject_other_files(path, start)
    return _open_checkpoint(path) if start.startswith(b"PK") else _open_safetensors(path)


def _reject_other_files(path: Path, start: bytes) -> None:
    """CheckpointError for what its first bytes show to be no weights file."""
    if not start:
        raise CheckpointError(f"{path} is empty (0 bytes); the download or copy failed, fetch it again")
    text = start.lstrip().lower()
    for magic, guess in OTHER_STARTS.items():
        if text.startswith(magic):
            raise CheckpointError(f"{path} is {guess}")
    if start[:1] == b"\x80" and start[1:2] <= b"\x05" and start[2:8] != bytes(6):
        raise CheckpointError(
            f"{path} is a pickle of the kind PyTorch wrote before version 1.6; this pack reads zip checkpoints and "
            "safetensors: open it with PyTorch and torch.save it again"
        )


def _open_safetensors(path: Path) -> LazyStateDict:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
            weights, scales = split_scales(tensors)
            return LazyStateDict(path, "safetensors", weights, file.metadata() or {}, scales)
    except (SafetensorError, ValueError) as error:
        if path.suffix.lower() in (".safetensors", ".sft"):
            raise CheckpointError(f"{path} is truncated or damaged ({error}); fetch it again") from error
        raise CheckpointError(
            f"{path} is neither a safetensors file nor a PyTorch checkpoint ({error}); fetch it again, or give the "
            "path of an AutoDIR .safetensors or .ckpt file"
        ) from error


def _open_checkpoint(path: Path) -> LazyStateDict:
    """Map the tensors of a PyTorch zip checkpoint: those of `state_dict` where there is one."""
    _check_archive(path)
    try:
        root = torch.load(str(path), map_location="cpu", pickle_module=inert_pickle, weights_only=False, mmap=True)
    except PICKLE_FAILURES as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(f"{path} holds a pickle that no state dict can be read from ({reason})") from error
    return LazyStateDict(path, "PyTorch checkpoint", _tensors_of(root))


def _tensors_of(root: Any) -> dict[str, Tensor]:
    state = root.get("state_dict", root) if isinstance(root, dict) else {}
    named = state.items() if isinstance(state, dict) else ()
    return {key: value for key, value in named if isinstance(key, str) and isinstance(value, Tensor)}


def _check_archive(path: Path) -> None:
    """CheckpointError for a zip archive that `torch.load` would misread.

    It takes compressed bytes for weights, runs TorchScript, and reads a zip file named .safetensors as one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except ARCHIVE_FAILURES as error:
        raise CheckpointError(f"{path} is a truncated or damaged checkpoint ({error}); fetch it again") from error
    names = [member.filename.rpartition("/")[2] for member in members]
    if names.count("data.pkl") != 1 or "constants.pkl" in names:
        raise CheckpointError(f"{path} is a zip archive but holds no PyTorch state dict")
    if any(member.compress_type != zipfile.ZIP_STORED and "/data/" in member.filename for member in members):
        raise CheckpointError(f"{path} is a compressed archive; unpack it and give the .ckpt inside")
    if path.suffix == ".safetensors":
        raise CheckpointError(f"{path} is a PyTorch checkpoint in spite of its name; rename it to .ckpt")
