"""What a server lacks to run a workflow, found without running anything."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .definitions import DYNAMIC, NUMBERS, Definitions, Input, Prompt, is_link
from .server import FOLDER, Server
from .workflow import Workflow, file_inputs, known_inputs, label_of, read_workflow, with_settings

OLDEST = "0.3.45"
"""The first ComfyUI that lets the client name its prompts, so that none is queued twice."""

CORE, OUR_PREFIX, OUR_PACK = "comfy-core", "AutoDIR", "comfyui-autodir"
SHOWN = 6


@dataclass(frozen=True)
class Check:
    """What a look at a server told about a workflow.

    Attributes:
        server: the server's name.
        version: of its ComfyUI.
        lacks: one line for everything that is missing; empty where the workflow can run.
        takes: the inputs that photos can be given to, such as "1 (Load Image) image".
    """

    server: str
    version: str
    lacks: tuple[str, ...]
    takes: tuple[str, ...]


def check_workflow(
    workflow: Workflow | str | os.PathLike[str], server: str, *, settings: Mapping[str, Any] | None = None
) -> Check:
    """What a server lacks to run a workflow; where a loop runs already, see `check_workflow_async`.

    Args:
        workflow: a file in UI or API format, or a `Workflow`.
        server: its address, such as "http://127.0.0.1:8188".
        settings: "NODE.input" -> value, as for `run_workflow`.

    Raises ServerError where it does not answer, InputError for a workflow that cannot be read or converted.
    """
    return asyncio.run(check_workflow_async(workflow, server, settings=settings))


async def check_workflow_async(
    workflow: Workflow | str | os.PathLike[str], server: str, *, settings: Mapping[str, Any] | None = None
) -> Check:
    """`check_workflow` as a coroutine."""
    workflow = workflow if isinstance(workflow, Workflow) else read_workflow(workflow)
    async with Server(server) as one:
        definitions, version = await one.definitions(), await one.version()
    prompt = with_settings(workflow.prompt(definitions), settings or {}, definitions)
    takers = list(file_inputs(prompt, definitions))
    for number, name in takers:
        prompt[number]["inputs"][name] = f"{FOLDER}/photo"  # it will be uploaded
    found = lacks(prompt, definitions, version, workflow)
    return Check(one.name, version, tuple(found), tuple(f"{label_of(prompt, n)} {name}" for n, name in takers))


def lacks(prompt: Prompt, definitions: Definitions, version: str, workflow: Workflow | None = None) -> list[str]:
    """One line for everything that keeps a server from running a prompt; empty where it can.

    Args:
        prompt: in API format, with settings and photos filled in.
        definitions: of the server.
        version: the server's ComfyUI.
        workflow: where the prompt comes from; a saved graph tells packs and versions.
    """
    found = [*missing_types(prompt, definitions, packs(workflow))]
    for number in prompt:
        if prompt[number]["class_type"] in definitions:
            found += (f"node {label_of(prompt, number)}: {line}" for line in node_lacks(prompt, number, definitions))
    return [*too_old(version, workflow, bool(found)), *found]


def missing_types(prompt: Prompt, definitions: Definitions, known: Mapping[str, str]) -> Iterator[str]:
    """The node types that the server does not have, each once, with the pack that has them."""
    missing = {node["class_type"] for node in prompt.values()} - set(definitions)
    for name in sorted(missing):
        nodes = ", ".join(number for number, node in prompt.items() if node["class_type"] == name)
        yield f"node type {name} (node {nodes}) is missing; {advice(name, known)}"


def advice(name: str, known: Mapping[str, str]) -> str:
    """Where a node type comes from."""
    pack = OUR_PACK if name.startswith(OUR_PREFIX) else known.get(name)
    if pack == CORE:
        return "it belongs to ComfyUI itself: update the server"
    if pack:
        return f"install the pack {pack}"
    in_brackets = re.search(r"\(([\w .-]+)\)$", name)
    return f"perhaps of the pack {in_brackets[1]}" if in_brackets else "the workflow does not tell which pack has it"


def packs(workflow: Workflow | None) -> dict[str, str]:
    """Node type -> pack, as the page notes it in the nodes of a saved graph."""
    nodes = workflow.content["nodes"] if workflow and workflow.is_graph else []
    told = {node["type"]: node.get("properties") or {} for node in nodes}
    named = {name: properties.get("cnr_id") or properties.get("aux_id") for name, properties in told.items()}
    return {name: pack for name, pack in named.items() if pack}


def too_old(version: str, workflow: Workflow | None, something_lacks: bool) -> Iterator[str]:
    """A server that the client cannot use, or, where something lacks, that is older than the workflow."""
    if () < numbers(version) < numbers(OLDEST):
        yield f"ComfyUI {version} is too old: this client needs {OLDEST} or newer"
    saved = saved_with(workflow)
    if something_lacks and () < numbers(version) < numbers(saved):
        yield f"ComfyUI {version} is older than the one that saved the workflow ({saved}); update it first"


def saved_with(workflow: Workflow | None) -> str:
    """The newest ComfyUI that a saved graph's core nodes come from; "" where it does not tell."""
    nodes = workflow.content["nodes"] if workflow and workflow.is_graph else []
    properties = [node.get("properties") or {} for node in nodes]
    return max((one.get("ver", "") for one in properties if one.get("cnr_id") == CORE), key=numbers, default="")


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers; empty for anything else, such as a commit."""
    found = re.match(r"v?(\d+(?:\.\d+)*)(?![\w])", version)
    return tuple(map(int, found[1].split("."))) if found else ()


def node_lacks(prompt: Prompt, number: str, definitions: Definitions) -> Iterator[str]:
    """What the server would say about one node of a type that it has."""
    inputs, declared = prompt[number]["inputs"], known_inputs(prompt, number, definitions)
    if any(one.kind.startswith(DYNAMIC) for one in declared.values()):
        return
    for name, value in inputs.items():
        if is_link(value):
            yield from link_lacks(prompt, name, value, definitions)
        elif name not in declared:
            yield f"the input {name!r} is unknown to the server (another version of the pack?)"
        else:
            yield from value_lacks(value, declared[name])
    for one in declared.values():
        if one.required and one.name not in inputs:
            yield f"the required input {one.name!r} is neither linked nor set"


def link_lacks(prompt: Prompt, name: str, link: list[Any], definitions: Definitions) -> Iterator[str]:
    """A link to a node or an output that does not exist."""
    source = prompt.get(link[0])
    if source is None:
        yield f"{name} is linked to node {link[0]}, which the workflow does not have"
    elif source["class_type"] in definitions and link[1] >= len(definitions[source["class_type"]]["output"]):
        yield f"{name} is linked to output {link[1]} of node {label_of(prompt, link[0])}, which has fewer"


def value_lacks(value: Any, one: Input) -> Iterator[str]:
    """A value that the server does not offer or that is out of range."""
    if one.choices is not None and value not in one.choices and not free(value, one):
        offered = ", ".join(map(str, one.choices[:SHOWN])) or "nothing"
        more = f" and {len(one.choices) - SHOWN} more" if len(one.choices) > SHOWN else ""
        yield f"{one.name} = {value!r} is not on the server; it has: {offered}{more}"
    if one.kind in NUMBERS:
        yield from number_lacks(value, one)


def free(value: Any, one: Input) -> bool:
    """Whether a value may stand outside the list: several values at once, or a file in a sub-folder."""
    return isinstance(value, (dict, list)) or (one.takes_file and "/" in str(value))


def number_lacks(value: Any, one: Input) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        yield f"{one.name} = {value!r} is no number (saved with another version of the pack?)"
    elif not one.options.get("min", value) <= value <= one.options.get("max", value):
        yield f"{one.name} = {value} lies outside {one.options.get('min', '')}..{one.options.get('max', '')}"
