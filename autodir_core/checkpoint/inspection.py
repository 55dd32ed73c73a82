"""Say what a weights file is, from its header alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError
from .detect import guess_kind
from .key_map import NETWORK_PREFIXES, NOT_NEEDED
from .load import plan_load
from .metadata import ModelMetadata
from .reader import LazyStateDict, open_state_dict


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


def inspect(path: str | Path) -> Inspection:
    """Look at a weights file; CheckpointError only where it cannot be opened at all."""
    file = open_state_dict(path)
    metadata, problem, guess = ModelMetadata(), None, "an AutoDIR model"
    try:
        metadata = ModelMetadata.from_header(file.metadata)
        plan_load(file, metadata)
    except CheckpointError as error:
        problem, guess = str(error), guess_kind(file.shapes)
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


def _parameter_count(file: LazyStateDict, prefix: str) -> int:
    """Count the values that are weights of the network under `prefix`."""
    return sum(
        tensor.numel() for key, tensor in file.tensors.items() if key.startswith(prefix) and key not in NOT_NEEDED
    )
