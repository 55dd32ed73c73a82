"""Convert a workflow as the page saves it into the API format, as the page itself does."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autodir_core.errors import InputError

from .definitions import DYNAMIC, WIDGETS, Definitions, Input, Prompt, is_link, parse_inputs

MUTED, BYPASSED = 2, 4  # the modes of muted and bypassed nodes
NOTES = ("Note", "MarkdownNote")
REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
GROUPS = ("workflow>", "workflow/")
CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
EXPORT = "export the workflow in API format on the page and give that file"


@dataclass(frozen=True)
class Constant:
    """The value of a primitive node."""

    value: Any


def to_prompt(graph: Mapping[str, Any], definitions: Definitions) -> Prompt:
    """Convert a saved graph into the API format.

    Notes, reroutes, primitives, muted and bypassed nodes vanish as they do on the page. A node type that the server
    does not have keeps its links only; `missing_requirements` reports it. InputError for subgraphs, group nodes and
    nodes whose inputs change with their values.
    """
    return Converter(graph, definitions).prompt()


class Converter:
    """One graph and the definitions of one server."""

    def __init__(self, graph: Mapping[str, Any], definitions: Definitions) -> None:
        self.definitions = definitions
        self.nodes = {str(node["id"]): node for node in graph["nodes"]}
        self.links = dict(map(parse_link, graph.get("links") or []))
        self.produced = {kind for definition in definitions.values() for kind in definition["output"] if kind != "*"}
        subgraphs = (graph.get("definitions") or {}).get("subgraphs") or []
        for node in self.nodes.values():
            self.check_convertible(node, {subgraph["id"] for subgraph in subgraphs})

    def check_convertible(self, node: Mapping[str, Any], subgraphs: set[str]) -> None:
        """InputError for a node that only the page can convert."""
        known = self.definitions.get(node["type"])
        if node["type"] in subgraphs or node["type"].startswith(GROUPS):
            raise InputError(f"node {self.label(node)} is a subgraph, which cannot be converted here; {EXPORT}")
        if known and any(one.kind.startswith(DYNAMIC) for one in parse_inputs(known)):
            raise InputError(f"node {self.label(node)} has inputs that change with its values; {EXPORT}")

    def prompt(self) -> Prompt:
        """Return every node that is executed; links to other nodes are left out."""
        prompt = {number: self.node(node) for number, node in self.nodes.items() if is_executed(node)}
        for node in prompt.values():
            inputs = node["inputs"].items()
            node["inputs"] = {name: value for name, value in inputs if not is_link(value) or value[0] in prompt}
        return prompt

    def node(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Convert one node: the values of its widgets, replaced where something is linked."""
        inputs = self.widgets(node)
        for socket in node.get("inputs") or []:
            source = self.source(socket.get("link"), socket["type"], frozenset())
            if source is not None:
                inputs[socket["name"]] = wrap_list(source.value) if isinstance(source, Constant) else source
        return {"class_type": node["type"], "inputs": inputs, "_meta": {"title": self.title(node)}}

    def title(self, node: Mapping[str, Any]) -> str:
        return node.get("title") or self.definitions.get(node["type"], {}).get("display_name") or node["type"]

    def label(self, node: Mapping[str, Any]) -> str:
        return f"{node['id']} ({self.title(node)})"

    def widgets(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that a node was saved with, by the names of its inputs."""
        saved = node.get("widgets_values") or []
        sockets = {socket["name"] for socket in node.get("inputs") or [] if "widget" not in socket}
        definition = self.definitions.get(node["type"])
        shown = [one for one in parse_inputs(definition) if self.is_widget(one, sockets)] if definition else []
        values = saved if isinstance(saved, Mapping) else assign_by_position(saved, shown)
        chosen = {one.name: values.get(one.name, one.default) for one in shown}
        return {name: wrap_list(value) for name, value in chosen.items() if value is not None}

    def is_widget(self, one: Input, sockets: set[str]) -> bool:
        """Whether the page shows a value for an input, also one of a pack's own kind, which no node gives."""
        if one.options.get("forceInput"):
            return False
        own = one.name not in sockets and one.kind != "*" and one.kind not in self.produced
        return one.options.get("widgetType", one.kind) in WIDGETS or own

    def source(self, link: Any, kind: str, seen: frozenset[Any]) -> list[Any] | Constant | None:
        """Resolve what feeds an input: an executed node, a primitive's value or nothing."""
        number, slot = self.links.get(link, ("", 0))
        node = self.nodes.get(number)
        if node is None:
            return None
        if link in seen:
            raise InputError(f"the links of the workflow run in a circle through link {link}; repair it on the page")
        inputs = node.get("inputs") or []
        if node.get("mode") == BYPASSED:
            index = bypass_slot(node, slot, kind)
            return None if index is None else self.source(inputs[index]["link"], inputs[index]["type"], seen | {link})
        if node["type"] == PRIMITIVE:
            return Constant(node["widgets_values"][0]) if node.get("widgets_values") else None
        if node["type"] == REROUTE:
            return self.source(inputs[0]["link"], kind, seen | {link}) if inputs else None
        return [number, slot]


def is_executed(node: Mapping[str, Any]) -> bool:
    """Whether a node is sent to the server."""
    return node.get("mode") not in (MUTED, BYPASSED) and node["type"] not in (*NOTES, REROUTE, PRIMITIVE)


def parse_link(link: Any) -> tuple[Any, tuple[str, int]]:
    """Return the number of a link and its source; newer pages write links as objects."""
    if isinstance(link, Mapping):
        return link["id"], (str(link["origin_id"]), link["origin_slot"])
    return link[0], (str(link[1]), link[2])


def assign_by_position(saved: Sequence[Any], shown: Sequence[Input]) -> dict[str, Any]:
    """Assign values in the order of the widgets, skipping those of "control after generate"; there may be fewer."""
    values, named = deque(saved), {}
    for one in shown:
        if not values:
            break
        named[one.name] = values.popleft()
        if one.has_control and values and values[0] in CONTROLS:
            values.popleft()
            if one.kind == "COMBO" and values:
                values.popleft()  # the filter below the control of a list
    return named


def bypass_slot(node: Mapping[str, Any], slot: int, kind: str) -> int | None:
    """Return the input that a bypassed node passes on as an output: the same slot, else the first that fits."""
    kinds = [socket["type"] for socket in node.get("inputs") or []]
    given = node["outputs"][slot]["type"]
    if kind in ("*", ""):
        return (slot if slot < len(kinds) else 0) if kinds else None
    fitting = [index for index, one in enumerate(kinds) if types_match(one, given) and types_match(one, kind)]
    if slot in fitting:
        return slot
    return next(iter([index for index, one in enumerate(kinds) if one == kind] or fitting), None)


def types_match(one: str, other: str) -> bool:
    """Whether two types may be linked; a type can be several names between commas."""
    return "*" in (one, other) or bool(set(one.split(",")) & set(other.split(",")))


def wrap_list(value: Any) -> Any:
    """Wrap a list that is a value, which the prompt would take for a link."""
    return {"__value__": value} if isinstance(value, list) else value
