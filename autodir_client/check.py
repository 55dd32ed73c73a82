"""What a server lacks to run a workflow, found without running it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .definitions import DYNAMIC, NUMBERS, Definitions, Input, Prompt, is_link
from .server import FOLDER, Server, blocking
from .workflow import Workflow, apply_settings, declared_inputs, file_inputs, label_of, read_workflow

MIN_COMFYUI = "0.3.45"
"""The first ComfyUI that lets the client name its prompts, so that none is queued twice."""

CORE, OUR_PREFIX, OUR_PACK = "comfy-core", "AutoDIR", "comfyui-autodir"
MAX_SHOWN = 6


@dataclass(frozen=True)
class CheckResult:
    """Whether a server can run a workflow.

    Attributes:
        server: the server's name.
        version: of its ComfyUI.
        missing_requirements: one line for everything that is missing; empty where the workflow can run.
        file_inputs: the inputs that photos can be given to, such as "1 (Load Image) image".
    """

    server: str
    version: str
    missing_requirements: tuple[str, ...]
    file_inputs: tuple[str, ...]


async def check_workflow_async(
    workflow: Workflow | str | os.PathLike[str], server: str | Server, *, settings: Mapping[str, Any] | None = None
) -> CheckResult:
    """Find what a server lacks to run a workflow; `check_workflow` waits for it.

    Args:
        workflow: a file in UI or API format, or a `Workflow`.
        server: its address, such as "http://127.0.0.1:8188", or a `Server` with headers.
        settings: "NODE.input" -> value, as for `run_workflow`.

    Raises ServerError where it does not answer, InputError for a workflow that cannot be read or converted.
    """
    workflow = workflow if isinstance(workflow, Workflow) else read_workflow(workflow)
    async with server if isinstance(server, Server) else Server(server) as one:
        definitions, version = await one.definitions(), await one.version()
    prompt = apply_settings(workflow.prompt(definitions), settings or {}, definitions)
    targets = list(file_inputs(prompt, definitions))
    for number, name in targets:
        prompt[number]["inputs"][name] = f"{FOLDER}/photo"  # it will be uploaded
    missing = missing_requirements(prompt, definitions, version, workflow)
    takes = tuple(f"{label_of(prompt, number)} {name}" for number, name in targets)
    return CheckResult(one.name, version, tuple(missing), takes)


check_workflow = blocking(check_workflow_async)


def missing_requirements(
    prompt: Prompt, definitions: Definitions, version: str, workflow: Workflow | None = None
) -> list[str]:
    """Return one line for everything that keeps a server from running a prompt; empty where it can.

    Args:
        prompt: in API format, with settings and photos filled in.
        definitions: of the server.
        version: the server's ComfyUI.
        workflow: the source of the prompt; a saved graph names packs and versions.
    """
    found = [*missing_types(prompt, definitions, node_packs(workflow))]
    for number in prompt:
        if prompt[number]["class_type"] in definitions:
            found += (f"node {label_of(prompt, number)}: {line}" for line in node_problems(prompt, number, definitions))
    return [*outdated(version, workflow, bool(found)), *found]


def missing_types(prompt: Prompt, definitions: Definitions, known: Mapping[str, str]) -> Iterator[str]:
    """Yield a line per node type that the server does not have, with the pack that has it."""
    missing = {node["class_type"] for node in prompt.values()} - set(definitions)
    for name in sorted(missing):
        nodes = ", ".join(number for number, node in prompt.items() if node["class_type"] == name)
        yield f"node type {name} (node {nodes}) is missing; {installation_hint(name, known)}"


def installation_hint(name: str, known: Mapping[str, str]) -> str:
    """Return what to install to get a node type."""
    pack = OUR_PACK if name.startswith(OUR_PREFIX) else known.get(name)
    if pack == CORE:
        return "it belongs to ComfyUI itself: update the server"
    if pack:
        return f"install the pack {pack}"
    in_brackets = re.search(r"\(([\w .-]+)\)$", name)
    return f"perhaps of the pack {in_brackets[1]}" if in_brackets else "the workflow does not tell which pack has it"


def node_packs(workflow: Workflow | None) -> dict[str, str]:
    """Return node type -> pack, as the page writes it into the nodes of a saved graph."""
    packs = {name: one.get("cnr_id") or one.get("aux_id") for name, one in node_properties(workflow)}
    return {name: pack for name, pack in packs.items() if pack}


def node_properties(workflow: Workflow | None) -> list[tuple[str, Mapping[str, Any]]]:
    """Return type and properties of every node of a saved graph; none of another workflow."""
    nodes = workflow.content["nodes"] if workflow and workflow.is_graph else []
    return [(node["type"], node.get("properties") or {}) for node in nodes]


def outdated(version: str, workflow: Workflow | None, incomplete: bool) -> Iterator[str]:
    """Yield a line for a ComfyUI that the client cannot use or, where something is missing, older than the workflow."""
    if () < parse_version(version) < parse_version(MIN_COMFYUI):
        yield f"ComfyUI {version} is too old: this client needs {MIN_COMFYUI} or newer"
    saved = saved_with(workflow)
    if incomplete and () < parse_version(version) < parse_version(saved):
        yield f"ComfyUI {version} is older than the one that saved the workflow ({saved}); update it first"


def saved_with(workflow: Workflow | None) -> str:
    """Return the newest ComfyUI among the versions of a saved graph's core nodes; "" where it names none."""
    core = (one for _, one in node_properties(workflow) if one.get("cnr_id") == CORE)
    return max((one.get("ver", "") for one in core), key=parse_version, default="")


def parse_version(version: str) -> tuple[int, ...]:
    """Return a version as numbers; empty for anything else, such as a commit."""
    found = re.match(r"v?(\d+(?:\.\d+)*)(?![\w])", version)
    return tuple(map(int, found[1].split("."))) if found else ()


def node_problems(prompt: Prompt, number: str, definitions: Definitions) -> Iterator[str]:
    """Yield what the server would say about one node of a type that it has."""
    inputs, declared = prompt[number]["inputs"], declared_inputs(prompt, number, definitions)
    if any(one.kind.startswith(DYNAMIC) for one in declared.values()):
        return
    for name, value in inputs.items():
        if is_link(value):
            yield from link_problems(prompt, name, value, definitions)
        elif name not in declared:
            yield f"the input {name!r} is unknown to the server (another version of the pack?)"
        else:
            yield from value_problems(value, declared[name])
    for one in declared.values():
        if one.required and one.name not in inputs:
            yield f"the required input {one.name!r} is neither linked nor set"


def link_problems(prompt: Prompt, name: str, link: list[Any], definitions: Definitions) -> Iterator[str]:
    """Yield a line for a link to a node or an output that does not exist."""
    source = prompt.get(link[0])
    if source is None:
        yield f"{name} is linked to node {link[0]}, which the workflow does not have"
    elif source["class_type"] in definitions and link[1] >= len(definitions[source["class_type"]]["output"]):
        yield f"{name} is linked to output {link[1]} of node {label_of(prompt, link[0])}, which has fewer"


def value_problems(value: Any, one: Input) -> Iterator[str]:
    """Yield a line for a value that the server does not offer or that is out of range."""
    if one.choices is not None and value not in one.choices and not may_be_unlisted(value, one):
        offered = ", ".join(map(str, one.choices[:MAX_SHOWN])) or "nothing"
        more = f" and {len(one.choices) - MAX_SHOWN} more" if len(one.choices) > MAX_SHOWN else ""
        yield f"{one.name} = {value!r} is not on the server; it has: {offered}{more}"
    if one.kind in NUMBERS:
        yield from number_problems(value, one)


def may_be_unlisted(value: Any, one: Input) -> bool:
    """Whether a value need not be among the choices: several values at once, or a file in a sub-folder."""
    return isinstance(value, (dict, list)) or (one.takes_file and "/" in str(value))


def number_problems(value: Any, one: Input) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        yield f"{one.name} = {value!r} is no number (saved with another version of the pack?)"
    elif not one.options.get("min", value) <= value <= one.options.get("max", value):
        yield f"{one.name} = {value} is outside {one.options.get('min', '')}..{one.options.get('max', '')}"
