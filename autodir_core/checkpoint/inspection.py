"""Say what a weights file is, from its header and, if asked to, its values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError
from .detect import guess_kind
from .key_map import NETWORK_PREFIXES, NOT_NEEDED
from .load import check_finite, plan_load
from .metadata import ModelMetadata
from .reader import LazyStateDict, TensorReader, open_state_dict


@dataclass(frozen=True)
class Inspection:
    """What the header of a weights file tells.

    Attributes:
        kind: the container, "safetensors" or "PyTorch checkpoint".
        guess: what the file is, in words.
        parameters: number of values per network, by the names of `NETWORK_PREFIXES`.
        dtypes: number of tensors per dtype.
        problem: why it is not a complete AutoDIR model; None when it is one.
        metadata: the file's labels, head counts and so on; the official ones where the file's cannot be used.
    """

    path: Path
    kind: str
    guess: str
    parameters: Mapping[str, int]
    dtypes: Mapping[str, int]
    problem: str | None
    metadata: ModelMetadata


def inspect(path: str | Path, *, values: bool = False) -> Inspection:
    """Look at a weights file; CheckpointError only where it cannot be opened at all.

    Args:
        path: of the file.
        values: whether to read all of it, to see that the values are finite; else the header alone.
    """
    file = open_state_dict(path)
    metadata, problem, guess = ModelMetadata(), None, "an AutoDIR model"
    try:
        metadata = ModelMetadata.from_header(file.metadata)
        plan_load(file, metadata)
    except CheckpointError as error:
        problem, guess = str(error), guess_kind(file.shapes)
    if values and problem is None:
        problem = find_odd_value(file)
    dtypes = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in file.tensors.values())
    return Inspection(
        path=file.path,
        kind=file.kind,
        guess=guess,
        parameters={name: _parameter_count(file, prefix) for name, prefix in NETWORK_PREFIXES.items()},
        dtypes=dict(sorted(dtypes.items())),
        problem=problem,
        metadata=metadata,
    )


def find_odd_value(file: LazyStateDict) -> str | None:
    """Return what is wrong with the first tensor that is needed and has values that are not finite."""
    reader = TensorReader(file.path)
    try:
        for key in file.tensors:
            if key not in NOT_NEEDED:
                check_finite(reader.read(key), key, reader)
    except CheckpointError as error:
        return str(error)
    return None


def _parameter_count(file: LazyStateDict, prefix: str) -> int:
    """Count the values that are weights of the network under `prefix`."""
    return sum(
        tensor.numel() for key, tensor in file.tensors.items() if key.startswith(prefix) and key not in NOT_NEEDED
    )
