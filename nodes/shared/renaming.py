"""Inputs of earlier releases: workflows that were saved with them keep working.

An input that was renamed lists its former names in its options as "old_names", a value that was renamed stands in
"old_values". The page keeps both to itself, /object_info tells them to clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def rename_inputs(inputs: dict[str, Any], types: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace the old names and values among a node's inputs, in place; an input under its new name wins.

    Args:
        inputs: of one node of a prompt in API format.
        types: the node's INPUT_TYPES().
    """
    for name, (_, options) in [*types["required"].items(), *types.get("optional", {}).items()]:
        for old in options.get("old_names", ()):
            if old in inputs:
                inputs.setdefault(name, inputs.pop(old))
        if name in inputs and isinstance(inputs[name], str):
            inputs[name] = options.get("old_values", {}).get(inputs[name], inputs[name])
