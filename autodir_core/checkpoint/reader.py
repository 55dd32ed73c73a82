"""Opens files of named tensors (safetensors, PyTorch zip checkpoints) lazily and without running anything in them."""

from __future__ import annotations

import io
import json
import math
import mmap
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError

SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
MAX_HEADER = 100_000_000
OTHER_STARTS = {
    b"<!doctype": "a web page saved by a failed download; download the file itself again",
    b"<html": "a web page saved by a failed download; download the file itself again",
    b"version https://git-lfs": "a Git LFS pointer, not the file; run `git lfs pull` or download the file itself",
    b"gguf": "a GGUF file; AutoDIR needs .safetensors or .ckpt",
    b"rar!": "a RAR archive; unpack it first",
    b"7z": "a 7-Zip archive; unpack it first",
    b"\x1f\x8b": "a gzip archive; unpack it first",
}


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies in its file; `offset` counts bytes from the start of the file."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    offset: int
    stride: tuple[int, ...] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes from the first to the last value."""
        if self.stride is None or 0 in self.shape:
            return math.prod(self.shape) * self.dtype.itemsize
        last = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return (last + 1) * self.dtype.itemsize


@dataclass(frozen=True)
class LazyStateDict:
    """A file whose header has been read and whose tensors are read one at a time."""

    path: Path
    kind: str
    entries: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {key: entry.shape for key, entry in self.entries.items()}

    def reader(self) -> Reader:
        return Reader(self)


class Reader:
    """Reads tensors through a memory map that gives its pages back, so that only one tensor at a time is held twice."""

    def __init__(self, file: LazyStateDict) -> None:
        self.entries = file.entries
        with file.path.open("rb") as handle:
            self.map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_COPY)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.map.close()

    def read(self, key: str, dtype: torch.dtype | None = None) -> Tensor:
        """A copy of one tensor, converted to `dtype` if it is given."""
        entry = self.entries[key]
        if 0 in entry.shape:
            return torch.empty(entry.shape, dtype=dtype or entry.dtype)
        # frombuffer needs aligned memory, and neither format promises it: bytes first, then the view
        flat = torch.frombuffer(self.map, dtype=torch.uint8, count=entry.nbytes, offset=entry.offset).clone()
        self.release(entry)
        values = flat.view(entry.dtype)
        shaped = values.reshape(entry.shape) if entry.stride is None else values.as_strided(entry.shape, entry.stride)
        return shaped.to(dtype or entry.dtype)

    def release(self, entry: TensorInfo) -> None:
        """Hand the touched pages back to the system, where it can be told (not on Windows)."""
        if hasattr(mmap, "MADV_DONTNEED"):
            start = entry.offset // mmap.PAGESIZE * mmap.PAGESIZE
            self.map.madvise(mmap.MADV_DONTNEED, start, entry.offset + entry.nbytes - start)


def open_state_dict(path: str | Path) -> LazyStateDict:
    """Read the header of a `.safetensors` file or a PyTorch zip checkpoint (`.ckpt`, `.pt`, `.pth`, `.bin`).

    The content decides, not the suffix. Nothing in a pickle is executed: classes it names become inert stubs.
    CheckpointError: no such file, a folder, or another kind of file, with a guess at what it is.
    """
    path = Path(path)
    if path.is_dir():
        guess = "a diffusers folder" if (path / "model_index.json").exists() else "a folder"
        raise CheckpointError(f"{path} is {guess}; AutoDIR needs one .safetensors or .ckpt file")
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give the path of an AutoDIR .safetensors or .ckpt file")
    with path.open("rb") as handle:
        start = handle.read(32)
    reject_other_files(path, start)
    if start.startswith(b"PK"):
        return open_zip(path)
    return open_safetensors(path)


def reject_other_files(path: Path, start: bytes) -> None:
    """CheckpointError for what is recognisable by its first bytes and is no weights file."""
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


def open_safetensors(path: Path) -> LazyStateDict:
    """Header of a safetensors file: its length (8 bytes), JSON, then the data."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = struct.unpack("<Q", handle.read(8).ljust(8, b"\xff"))[0]
        if length > min(size - 8, MAX_HEADER):
            raise not_a_checkpoint(path, length)
        text = handle.read(length)
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__", {})
        entries = {key: safetensors_entry(value, 8 + length) for key, value in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error}); fetch it again") from error
    return LazyStateDict(path, "safetensors", check_ends(path, entries, size), metadata)


def safetensors_entry(value: dict[str, Any], base: int) -> TensorInfo:
    begin, end = value["data_offsets"]
    entry = TensorInfo(tuple(value["shape"]), SAFETENSORS_DTYPES[value["dtype"]], base + begin)
    if end - begin != entry.nbytes:
        raise ValueError("a tensor's size does not fit its shape")
    return entry


def not_a_checkpoint(path: Path, length: int) -> CheckpointError:
    if path.suffix.lower() in (".safetensors", ".sft") and length < MAX_HEADER:
        return CheckpointError(f"{path} is a truncated safetensors file; the download or copy stopped early")
    return CheckpointError(f"{path} is neither a safetensors file nor a PyTorch zip checkpoint")


def check_ends(path: Path, entries: dict[str, TensorInfo], size: int) -> dict[str, TensorInfo]:
    """The entries, when the file holds all of them."""
    need = max((entry.offset + entry.nbytes for entry in entries.values()), default=0)
    if need > size:
        raise CheckpointError(f"{path} is truncated: it has {size:,} of at least {need:,} bytes; fetch it again")
    return entries


def open_zip(path: Path) -> LazyStateDict:
    """Header of a PyTorch zip checkpoint: its pickle, read without running it; `state_dict` where there is one."""
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
            if len(pickles) != 1:
                raise CheckpointError(f"{path} is a zip archive but no PyTorch checkpoint (it holds no data.pkl)")
            offsets = data_offsets(archive, path)
            root = InertUnpickler(archive.read(pickles[0]), pickles[0].removesuffix("data.pkl"), offsets).load()
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path} is a truncated or damaged checkpoint ({error}); fetch it again") from error
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path} holds a pickle that no state dict is made of ({error})") from error
    state = root.get("state_dict", root) if isinstance(root, dict) else {}
    entries = {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, TensorInfo)}
    return LazyStateDict(path, "PyTorch checkpoint", check_ends(path, entries, path.stat().st_size))


def data_offsets(archive: zipfile.ZipFile, path: Path) -> dict[str, int]:
    """Where the bytes of each stored member begin: after its local header, whose two lengths stand at 26..30."""
    offsets = {}
    with path.open("rb") as handle:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED and "/data/" in info.filename:
                raise CheckpointError(f"{path} is a compressed archive; unpack it and give the .ckpt inside")
            handle.seek(info.header_offset + 26)
            name, extra = struct.unpack("<HH", handle.read(4))
            offsets[info.filename] = info.header_offset + 30 + name + extra
    return offsets


@dataclass(frozen=True)
class Storage:
    """A storage that a pickle refers to: what it holds and where it lies."""

    dtype: torch.dtype
    offset: int


class InertUnpickler(pickle.Unpickler):
    """Reads a state dict's structure; any class or function that is not about tensors becomes an inert stub."""

    def __init__(self, data: bytes, root: str, offsets: Mapping[str, int]) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.root = root
        self.offsets = offsets

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return lambda storage, start, shape, stride, *_: tensor_entry(storage, start, tuple(shape), tuple(stride))
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda data, *_: data
        if module in ("torch", "torch.storage") and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        return type(name, (Inert,), {})

    def persistent_load(self, pid: Any) -> Storage:
        _, dtype, key, _, _ = pid
        return Storage(dtype, self.offsets[f"{self.root}data/{key}"])


class Inert:
    """Stands for an object of a foreign class: takes whatever a pickle does to it and does nothing."""

    def __new__(cls, *arguments: object, **keywords: object) -> Inert:
        return super().__new__(cls)

    def __init__(self, *arguments: object, **keywords: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...

    def __call__(self, *arguments: object, **keywords: object) -> Inert:
        return self

    def append(self, value: object) -> None: ...

    def extend(self, values: object) -> None: ...

    def add(self, value: object) -> None: ...


def tensor_entry(storage: Storage, start: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> TensorInfo:
    """An entry for a view on a storage; contiguous ones carry no stride."""
    offset = storage.offset + start * storage.dtype.itemsize
    contiguous = stride == tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
    return TensorInfo(shape, storage.dtype, offset, None if contiguous else stride)
