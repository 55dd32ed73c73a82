"""From a weights file to the four networks, strictly: every tensor of the file is used or known to be redundant."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, InputError
from ..networks.build import Networks, restore_buffers
from ..networks.config import ModelConfig
from .detect import guess_kind, infer_config
from .key_map import NETWORK_PREFIXES, NOT_NEEDED, KeyMap, build_key_map, from_official, strip_prefix, to_official
from .metadata import METADATA_KEY, ModelMetadata
from .reader import LazyStateDict, TensorReader, open_state_dict

MAX_NAMED = 5
"""How many missing or unexpected keys an error names."""


@dataclass(frozen=True)
class LoadPlan:
    """How a file becomes networks.

    Attributes:
        config: sizes of the networks.
        metadata: what the file says beyond its shapes.
        key_map: by the name of each of our parameters, the official keys it is made of.
        shapes: of our parameters.
    """

    config: ModelConfig
    metadata: ModelMetadata
    key_map: KeyMap
    shapes: Mapping[str, tuple[int, ...]]


def load_networks(path: str | Path, choose_dtype: Callable[[str], torch.dtype]) -> tuple[Networks, LoadPlan]:
    """Build the networks of a file on the CPU, in evaluation mode.

    Args:
        path: an AutoDIR `.safetensors` or `.ckpt` file with official key names.
        choose_dtype: precision of a parameter, by its name in our networks ("unet.", "vae.", "clip." or "scm." first).

    Memory stays near the size of the result: modules are built without weights, tensors are read one at a time.
    Raises CheckpointError for a file that is not a complete AutoDIR model, or with values that are not finite.
    """
    file = open_state_dict(path)
    plan = plan_load(file, ModelMetadata.from_header(file.metadata))
    with torch.device("meta"):
        networks = Networks(plan.config)
    reader = TensorReader(file.path)
    for key in plan.key_map:
        _set_parameter(networks, key, _read_parameter(reader, plan, key, choose_dtype(key)))
    restore_buffers(networks)
    return networks.eval().requires_grad_(False), plan


def plan_load(file: LazyStateDict, metadata: ModelMetadata) -> LoadPlan:
    """Infer the sizes and account for every key; CheckpointError lists what is missing, unexpected or misshapen."""
    config = _detect_config(file, metadata)
    with torch.device("meta"):
        state = Networks(config).state_dict()
    key_map = build_key_map(state, config)
    _check_keys(file, key_map)
    _check_shapes(file, key_map, state)
    return LoadPlan(config, metadata, key_map, {key: tuple(tensor.shape) for key, tensor in state.items()})


def _detect_config(file: LazyStateDict, metadata: ModelMetadata) -> ModelConfig:
    shapes = file.shapes
    try:
        return infer_config(shapes, metadata)
    except InputError as error:
        raise CheckpointError(
            f"{file.path}: {error}; a model of another size than the official one must give its head counts and "
            f"norm_groups in the safetensors metadata entry {METADATA_KEY!r}"
        ) from error
    except (KeyError, ValueError, IndexError) as error:
        missing = [name for name, prefix in NETWORK_PREFIXES.items() if not strip_prefix(shapes, prefix)]
        detail = f"it has no {', '.join(missing)}" if missing else f"{error} is missing or misshapen"
        raise CheckpointError(
            f"{file.path} is not an AutoDIR model: {detail}; it looks like {guess_kind(shapes)}"
        ) from error


def _check_keys(file: LazyStateDict, key_map: KeyMap) -> None:
    """CheckpointError unless exactly the official keys are there, with or without those that are not needed."""
    expected = {key for keys in key_map.values() for key in keys}
    missing = sorted(expected - set(file.tensors))
    unexpected = sorted(set(file.tensors) - expected - NOT_NEEDED)
    if missing or unexpected:
        raise CheckpointError(
            f"{file.path} is not a complete AutoDIR model: {_name_some('missing', missing)}, "
            f"{_name_some('unexpected', unexpected)}; it looks like {guess_kind(file.shapes)}"
        )


def _name_some(what: str, keys: Sequence[str]) -> str:
    """Such as "3 missing keys (a, b, c)", naming a few of many."""
    names = ", ".join(keys[:MAX_NAMED]) + (", ..." if len(keys) > MAX_NAMED else "")
    return f"{len(keys)} {what} {'key' if len(keys) == 1 else 'keys'}" + (f" ({names})" if keys else "")


def _check_shapes(file: LazyStateDict, key_map: KeyMap, state: Mapping[str, Tensor]) -> None:
    """CheckpointError unless all tensors have the shapes our parameters have under their official names."""
    for key, official in key_map.items():
        for name, expected in to_official(state[key], key, official).items():
            shape = file.tensors[name].shape
            if _squeeze(shape) != _squeeze(expected.shape):
                raise CheckpointError(
                    f"{file.path}: {name} has shape {list(shape)}, the sizes read from the other tensors need "
                    f"{list(expected.shape)}"
                )


def _squeeze(shape: Sequence[int]) -> list[int]:
    """Return a shape without the ones at its end: a 1x1 convolution is a linear layer."""
    rank = max((i + 1 for i, size in enumerate(shape) if size != 1), default=0)
    return list(shape[:rank])


def _read_parameter(reader: TensorReader, plan: LoadPlan, key: str, dtype: torch.dtype) -> Tensor:
    """Return one of our parameters, joined and reshaped from the official ones."""
    tensors = [check_finite(reader.read(name, dtype), name, reader) for name in plan.key_map[key]]
    return from_official(tensors, key, plan.shapes[key]).contiguous()


def check_finite(tensor: Tensor, name: str, reader: TensorReader) -> Tensor:
    """Return a tensor that was read; CheckpointError where a value is not finite, in the file or in this precision."""
    if is_finite(tensor):
        return tensor
    if is_finite(reader.read(name)):
        precision = str(tensor.dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{reader.path}: {name} has values that {precision} does not hold; take the precision bfloat16 or float32"
        )
    raise CheckpointError(
        f"{reader.path}: {name} holds values that are not finite (nan or inf): the file is damaged, or its training "
        "failed; get another copy"
    )


def is_finite(tensor: Tensor) -> bool:
    """Return whether all values are finite, by the extremes: ten times as fast as value by value, and no copy."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    wide = tensor.float() if tensor.itemsize == 1 else tensor
    return all(math.isfinite(extreme) for extreme in torch.stack(wide.aminmax()).tolist())


def _set_parameter(networks: nn.Module, key: str, tensor: Tensor) -> None:
    """Replace one parameter that has no memory yet."""
    module, _, name = key.rpartition(".")
    setattr(networks.get_submodule(module), name, nn.Parameter(tensor, requires_grad=False))
