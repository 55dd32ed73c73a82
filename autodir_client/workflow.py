"""Workflow files: read them, find the node that a user means, fill in settings and photos."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autodir_core.errors import InputError

from .convert import to_prompt
from .definitions import NUMBERS, Definitions, Input, Prompt, is_link, parse_inputs

BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


DAMAGE = (LookupError, TypeError, AttributeError, RecursionError, OverflowError)
"""What reading a graph raises where its JSON has other types in it than the page writes."""


@dataclass(frozen=True)
class Workflow:
    """A workflow file.

    Attributes:
        name: the file's name without its suffix.
        content: the JSON as saved by the page, or in API format.
    """

    name: str
    content: Mapping[str, Any]

    @property
    def is_graph(self) -> bool:
        """Whether it was saved by the page (UI format) and not exported for the API."""
        return isinstance(self.content.get("nodes"), list)

    def prompt(self, definitions: Definitions) -> Prompt:
        """Return the workflow in API format, a copy; InputError for what only the page can convert, or is damaged."""
        try:
            prompt = to_prompt(self.content, definitions) if self.is_graph else deepcopy(dict(self.content))
            for number in prompt:
                rename_inputs(prompt, number, definitions)
        except DAMAGE as error:
            reason = f"{type(error).__name__}: {str(error)[:80]}"
            raise InputError(f"the workflow {self.name} is damaged ({reason}); save it again on the page") from error
        return prompt


def read_workflow(path: str | os.PathLike[str]) -> Workflow:
    """Read a workflow file in UI or API format; InputError for anything else."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a workflow file (.json)")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}); give a workflow as ComfyUI saves or exports it") from error
    if isinstance(content, dict) and isinstance(content.get("prompt"), dict):
        content = content["prompt"]  # as it was sent to the server
    workflow = Workflow(path.stem, content)
    if not (isinstance(content, dict) and content and (workflow.is_graph or is_prompt(content))):
        raise InputError(f"{path} is no ComfyUI workflow: it has neither nodes nor class types")
    return workflow


def is_prompt(content: Mapping[str, Any]) -> bool:
    return all(isinstance(node, dict) and "class_type" in node and "inputs" in node for node in content.values())


def title_of(prompt: Prompt, number: str) -> str:
    """Return what the page writes above a node."""
    node = prompt[number]
    return (node.get("_meta") or {}).get("title") or node["class_type"]


def label_of(prompt: Prompt, number: str) -> str:
    """Return the name of a node in messages, such as "4 (AutoDIR Restore)"."""
    return f"{number} ({title_of(prompt, number)})"


def declared_inputs(prompt: Prompt, number: str, definitions: Definitions) -> dict[str, Input]:
    """Return the inputs that the type of a node declares, by name; none where the server does not have the type."""
    definition = definitions.get(prompt[number]["class_type"])
    return {one.name: one for one in parse_inputs(definition)} if definition else {}


def rename_inputs(prompt: Prompt, number: str, definitions: Definitions) -> None:
    """Replace the names and values of earlier releases among the inputs of a node, in place."""
    inputs = prompt[number]["inputs"]
    for one in declared_inputs(prompt, number, definitions).values():
        for old in set(one.old_names) & inputs.keys():
            value = inputs.pop(old)
            if one.name not in inputs or is_link(value):  # a saved graph has the widget's value next to the link
                inputs[one.name] = value
        if one.name in inputs:
            inputs[one.name] = one.update_value(inputs[one.name])


def apply_settings(prompt: Prompt, settings: Mapping[str, Any], definitions: Definitions) -> Prompt:
    """Return a copy of a prompt with changed values.

    Args:
        prompt: in API format.
        settings: "NODE.input" -> value; NODE is an id, a title or a node type. Text is read as the input's own type.
        definitions: of the server.

    Raises InputError where no node or several are meant, or where the value is of the wrong type.
    """
    changed = deepcopy(prompt)
    for target, value in settings.items():
        number, name = find_input(prompt, target, definitions)
        one = declared_inputs(prompt, number, definitions).get(name)
        value = parse_value(value, one, target) if one and isinstance(value, str) else value
        changed[number]["inputs"][name] = one.update_value(value) if one else value
    return changed


def find_input(prompt: Prompt, target: str, definitions: Definitions) -> tuple[str, str]:
    """Return the node and the input that "NODE.input" means; ids come before titles, titles before types."""
    keys: tuple[Callable[[str], str], ...] = (
        lambda number: number,
        lambda number: title_of(prompt, number),
        lambda number: prompt[number]["class_type"],
    )
    for key in keys:
        named = [number for number in prompt if target.startswith(f"{key(number)}.")]
        spelled = {n: input_names(prompt, n, definitions).get(target[len(key(n)) + 1 :]) for n in named}
        found = [(number, name) for number, name in spelled.items() if name]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(label_of(prompt, number) for number, _ in found)
            raise InputError(f"{target!r} could mean several nodes: {several}; write the id instead")
        if named:
            raise no_input(target, label_of(prompt, named[0]), input_names(prompt, named[0], definitions).values())
    nodes = ", ".join(label_of(prompt, number) for number in prompt)
    raise InputError(f"{target!r} names no node of the workflow; write NODE.input with one of: {nodes}")


def no_input(target: str, node: str, names: Iterable[str]) -> InputError:
    return InputError(f"{target!r}: node {node} has no such input; it has: {', '.join(sorted(set(names)))}")


def input_names(prompt: Prompt, number: str, definitions: Definitions) -> dict[str, str]:
    """Return the names of a node's inputs by every spelling, also those of earlier releases."""
    declared = declared_inputs(prompt, number, definitions).values()
    names = {spelling: one.name for one in declared for spelling in (*one.old_names, one.name)}
    return {name: name for name in prompt[number]["inputs"]} | names


def parse_value(text: str, one: Input, target: str) -> Any:
    """Parse text as a value of an input's type; a list's value keeps the type that it has in the list."""
    if one.kind == "COMBO":
        return next((choice for choice in one.choices or () if str(choice) == text), text)
    try:
        if one.kind in NUMBERS:
            return NUMBERS[one.kind](text)
        return BOOLEANS[text.lower()] if one.kind == "BOOLEAN" else text
    except (ValueError, KeyError) as error:
        kind = {"INT": "a whole number", "FLOAT": "a number"}.get(one.kind, "true or false")
        raise InputError(f"{target} takes {kind}, got {text!r}") from error


def file_inputs(prompt: Prompt, definitions: Definitions) -> Iterator[tuple[str, str]]:
    """Yield node and input of everything that takes an uploaded file."""
    for number, node in prompt.items():
        for one in declared_inputs(prompt, number, definitions).values():
            if one.takes_file and not is_link(node["inputs"].get(one.name)):
                yield number, one.name


def find_file_input(prompt: Prompt, name: str, definitions: Definitions) -> tuple[str, str]:
    """Return the node and the input that a photo named `name` goes to; InputError where none or several are meant.

    `name` is an input's name, the node's id, title or type, or "NODE.input".
    """
    candidates = list(file_inputs(prompt, definitions))
    found = [(number, one) for number, one in candidates if name in accepted_names(prompt, number, one)]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(label_of(prompt, number) for number, _ in found)
        raise InputError(f"the input {name!r} could mean several nodes: {several}; write the id instead")
    targets = ", ".join(f"{label_of(prompt, number)} {one}" for number, one in candidates) or "none"
    raise InputError(f"no node takes a file as {name!r}; inputs of this workflow that take files: {targets}")


def accepted_names(prompt: Prompt, number: str, name: str) -> set[str]:
    nodes = {number, title_of(prompt, number), prompt[number]["class_type"]}
    return {name, *nodes, *(f"{node}.{name}" for node in nodes)}
