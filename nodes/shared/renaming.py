"""Inputs of earlier releases: workflows that were saved with them keep working.

The options of an input list its former names as "old_names" and map former values to current ones as "old_values".
ComfyUI ignores both and passes them on in /object_info, where clients find them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def rename_inputs(inputs: dict[str, Any], types: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace the old names and values among a node's inputs, in place.

    An input that has a value under its new name too keeps that, unless a link comes under the old one: from an old
    graph the page makes both, the widget's value by its position and the link by its name.

    Args:
        inputs: of one node of a prompt in API format.
        types: the node's INPUT_TYPES().
    """
    for name, (_, options) in [*types["required"].items(), *types.get("optional", {}).items()]:
        for old in options.get("old_names", ()):
            value = inputs.pop(old, None)
            if value is not None and (name not in inputs or isinstance(value, list)):
                inputs[name] = value
        if name in inputs and isinstance(inputs[name], str):
            inputs[name] = options.get("old_values", {}).get(inputs[name], inputs[name])
