"""From the networks back to a file with the official names, and from one file to another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..networks.build import Networks
from ..networks.config import ModelConfig
from ..serialization.atomic import atomic_path, explain_write
from .float8 import FLOAT8, is_quantized, quantize
from .key_map import NOT_NEEDED, SCM_PREFIX, build_key_map, to_official
from .load import check_finite, plan_load
from .metadata import ModelMetadata
from .reader import TensorReader, open_state_dict


def official_views(networks: Networks, config: ModelConfig) -> dict[str, Tensor]:
    """Return all parameters under their official names and shapes, in the memory of the networks."""
    state = networks.state_dict()
    key_map = build_key_map(state, config)
    return {name: part for key in state for name, part in to_official(state[key], key, key_map[key]).items()}


def official_state(networks: Networks, config: ModelConfig) -> dict[str, Tensor]:
    """Return all parameters under their official names and shapes, each in its own memory as safetensors demands."""
    return {name: view.contiguous().clone() for name, view in official_views(networks, config).items()}


def save_model(path: str | Path, state: Mapping[str, Tensor], metadata: ModelMetadata, dtype: torch.dtype) -> None:
    """Write one safetensors file with official names and the model's metadata, through a temporary name.

    Args:
        path: of the file.
        state: tensors by official name.
        metadata: stored in the header.
        dtype: precision of the file; the SCM, not safe in float16, is written as bfloat16 or wider. `FLOAT8` stores the
            large weights of UNet, SCM and text tower in 8 bits and everything else as float16 does.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    stored = stored_tensors(state, dtype)
    with atomic_path(path) as temporary, explain_write(path, SafetensorError):
        mode = temporary.stat().st_mode
        save_file(stored, temporary, metadata={"format": "pt", **metadata.to_header()})
        temporary.chmod(mode)  # safetensors leaves files that only their owner can read; a server may be another user


def stored_tensors(state: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the tensors of a file of some precision, those in 8 bits with their scales."""
    stored: dict[str, Tensor] = {}
    for key, tensor in state.items():
        small = cast_for_storage(key, tensor, dtype)
        stored |= quantize(key, small) if dtype == FLOAT8 and is_quantized(key, tensor) else {key: small}
    return stored


def cast_for_storage(key: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor on the CPU, in the precision it is stored in or, for `FLOAT8`, quantized from."""
    dtype = torch.float16 if dtype == FLOAT8 else dtype
    safe = torch.bfloat16 if key.startswith(SCM_PREFIX) and dtype == torch.float16 else dtype
    return tensor.detach().to("cpu", safe).contiguous()


def convert(source: str | Path, target: str | Path, dtype: torch.dtype = torch.float16) -> None:
    """Rewrite any readable AutoDIR file as one safetensors file without what is not needed.

    CheckpointError when the source is not a complete AutoDIR model, or has values that are not finite.
    """
    file = open_state_dict(source)
    metadata = ModelMetadata.from_header(file.metadata)
    plan_load(file, metadata)
    reader = TensorReader(file.path)
    keys = [key for key in file.tensors if key not in NOT_NEEDED]
    state = {key: check_finite(cast_for_storage(key, reader.read(key), dtype), key, reader) for key in keys}
    save_model(target, state, metadata, dtype)
