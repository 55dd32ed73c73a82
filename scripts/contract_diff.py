"""Say which promises of the nodes a change breaks: saved workflows, API prompts and other packs rely on them.

    python scripts/contract_diff.py BEFORE AFTER

BEFORE and AFTER are two states of tests/nodes/contract.json, which a test keeps equal to what the nodes offer. What is
only added (a node, an output or an optional input at the end, a choice, a wider range) breaks nothing, nor does a
renamed input that tells its old name. Prints a line for each broken promise; the exit code is then 1.

The action Comfy-Org/node-diff cannot do this: it loads a pack without ComfyUI ("No module named 'comfy'"), and compares
outputs and functions only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN"}

Node = Mapping[str, Any]
"""An entry of the contract; its inputs are [type or choices, options] by group and name."""


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 2:
        sys.exit("expected two files: the contract before and after")
    before, after = (json.loads(Path(name).read_text(encoding="utf-8")) for name in arguments)
    found = list(broken_promises(before, after))
    print(*found or [f"all promises of {len(before)} nodes are kept"], sep="\n")
    return 1 if found else 0


def broken_promises(before: Mapping[str, Node], after: Mapping[str, Node]) -> Iterator[str]:
    for name, old in before.items():
        if name in after:
            yield from (f"{name}: {text}" for text in broken_in_node(old, after[name]))
        else:
            yield f"{name}: the node is gone"


def broken_in_node(old: Node, new: Node) -> Iterator[str]:
    for key in ("outputs", "output_names"):
        if new[key][: len(old[key])] != old[key]:
            yield f"{key} were {old[key]}, are {new[key]}"
    if old["output_node"] and not new["output_node"]:
        yield "it is no output node any longer"
    names = current_names(old, new)
    yield from broken_inputs(old, new, names)
    widgets = [names.get(name, name) for name in widget_order(old)]
    if widget_order(new)[: len(widgets)] != widgets:
        yield f"saved workflows keep values by their order, which was {widgets}, is {widget_order(new)}"


def inputs(node: Node) -> dict[str, list[Any]]:
    return {name: spec for group in node["inputs"].values() for name, spec in group.items()}


def options(spec: Sequence[Any]) -> dict[str, Any]:
    return spec[1] if len(spec) > 1 else {}


def current_names(old: Node, new: Node) -> dict[str, str]:
    """Return the present name of each input of before that is still taken, under whatever name."""
    current = {former: name for name, spec in inputs(new).items() for former in options(spec).get("old_names", ())}
    current |= {name: name for name in inputs(new)}
    return {name: current[name] for name in inputs(old) if name in current}


def broken_inputs(old: Node, new: Node, names: Mapping[str, str]) -> Iterator[str]:
    for name, spec in inputs(old).items():
        if name in names:
            yield from (f"{name}: {text}" for text in broken_in_input(spec, inputs(new)[names[name]]))
        else:
            yield f"{name}: the input is gone"
    kept = {names[name] for name in old["inputs"].get("required", {}) if name in names}
    for name in new["inputs"].get("required", {}).keys() - kept:
        yield f"{name}: is required and was not"


def broken_in_input(old: Sequence[Any], new: Sequence[Any]) -> Iterator[str]:
    before, after = options(old), options(new)
    if not accepts(old[0], new[0], after.get("old_values", {})):
        yield f"took {old[0]}, takes {new[0]}"
    default = before.get("default")
    if "default" in before and after.get("old_values", {}).get(str(default), default) != after.get("default"):
        yield f"the default was {default!r}, is {after.get('default')!r}"
    for key, narrower in (("min", max), ("max", min)):
        if key in after and narrower(after[key], before.get(key, after[key])) != before.get(key):
            yield f"{key} was {before.get(key)}, is {after[key]}"


def accepts(old: str | list[str], new: str | list[str], old_values: Mapping[str, str]) -> bool:
    """Return whether a value of the old type, or each of the old choices, is still one."""
    if isinstance(old, list):
        return isinstance(new, list) and set(old) <= {*new, *old_values}
    return isinstance(new, str) and (new == "*" or set(old.split(",")) <= set(new.split(",")))


def widget_order(node: Node) -> list[str]:
    """Return the names of the values that a saved workflow keeps, in its order; a seed has a second one."""
    found = []
    for name, (kind, *rest) in inputs(node).items():
        if (isinstance(kind, list) or kind in WIDGETS) and not options([kind, *rest]).get("forceInput"):
            found += [name, *[f"{name} (control)"] * bool(options([kind, *rest]).get("control_after_generate"))]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
