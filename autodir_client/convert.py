"""Turns a workflow as the page saves it into the API format, in the way the page itself does it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autodir_core.errors import InputError

from .definitions import DYNAMIC, WIDGETS, Definitions, Input, Prompt, inputs_of, is_link

NEVER, BYPASS = 2, 4  # the modes of muted and bypassed nodes
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
    """A saved graph in API format.

    Notes, reroutes, primitives, muted and bypassed nodes vanish as they do on the page. A node type that the server
    does not have keeps its links only; `lacks` tells of it. InputError for subgraphs, group nodes and nodes whose
    inputs change with their values.
    """
    return Converter(graph, definitions).prompt()


class Converter:
    """One graph and the definitions of one server."""

    def __init__(self, graph: Mapping[str, Any], definitions: Definitions) -> None:
        self.definitions = definitions
        self.nodes = {str(node["id"]): node for node in graph["nodes"]}
        self.links = dict(map(origin, graph.get("links") or []))
        self.made = {kind for definition in definitions.values() for kind in definition["output"] if kind != "*"}
        subgraphs = (graph.get("definitions") or {}).get("subgraphs") or []
        for node in self.nodes.values():
            self.refuse(node, {subgraph["id"] for subgraph in subgraphs})

    def refuse(self, node: Mapping[str, Any], subgraphs: set[str]) -> None:
        """InputError for a node that only the page can convert."""
        known = self.definitions.get(node["type"])
        if node["type"] in subgraphs or node["type"].startswith(GROUPS):
            raise InputError(f"node {self.label(node)} is a subgraph, which cannot be converted here; {EXPORT}")
        if known and any(one.kind.startswith(DYNAMIC) for one in inputs_of(known)):
            raise InputError(f"node {self.label(node)} has inputs that change with its values; {EXPORT}")

    def prompt(self) -> Prompt:
        """Every node that runs; links to nodes that do not are left out."""
        made = {number: self.node(node) for number, node in self.nodes.items() if runs(node)}
        for node in made.values():
            inputs = node["inputs"].items()
            node["inputs"] = {name: value for name, value in inputs if not is_link(value) or value[0] in made}
        return made

    def node(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """One node: the values of its widgets, replaced where something is linked."""
        inputs = self.widgets(node)
        for socket in node.get("inputs") or []:
            source = self.source(socket.get("link"), socket["type"], frozenset())
            if source is not None:
                inputs[socket["name"]] = wrapped(source.value) if isinstance(source, Constant) else source
        return {"class_type": node["type"], "inputs": inputs, "_meta": {"title": self.title(node)}}

    def title(self, node: Mapping[str, Any]) -> str:
        return node.get("title") or self.definitions.get(node["type"], {}).get("display_name") or node["type"]

    def label(self, node: Mapping[str, Any]) -> str:
        return f"{node['id']} ({self.title(node)})"

    def widgets(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """The values that a node was saved with, by the names of its inputs."""
        saved = node.get("widgets_values") or []
        sockets = {socket["name"] for socket in node.get("inputs") or [] if "widget" not in socket}
        definition = self.definitions.get(node["type"])
        shown = [one for one in inputs_of(definition) if self.is_widget(one, sockets)] if definition else []
        values = saved if isinstance(saved, Mapping) else by_position(saved, shown)
        chosen = {one.name: values.get(one.name, one.default) for one in shown}
        return {name: wrapped(value) for name, value in chosen.items() if value is not None}

    def is_widget(self, one: Input, sockets: set[str]) -> bool:
        """Whether the page shows a value for an input, also one of a pack's own kind, which no node gives."""
        if one.options.get("forceInput"):
            return False
        own = one.name not in sockets and one.kind != "*" and one.kind not in self.made
        return one.options.get("widgetType", one.kind) in WIDGETS or own

    def source(self, link: Any, kind: str, seen: frozenset[Any]) -> list[Any] | Constant | None:
        """What really feeds an input: a node that runs, a primitive's value or nothing."""
        number, slot = self.links.get(link, ("", 0))
        node = self.nodes.get(number)
        if node is None:
            return None
        if link in seen:
            raise InputError(f"the links of the workflow run in a circle through link {link}; repair it on the page")
        inputs = node.get("inputs") or []
        if node.get("mode") == BYPASS:
            index = bypass_slot(node, slot, kind)
            return None if index is None else self.source(inputs[index]["link"], inputs[index]["type"], seen | {link})
        if node["type"] == PRIMITIVE:
            return Constant(node["widgets_values"][0]) if node.get("widgets_values") else None
        if node["type"] == REROUTE:
            return self.source(inputs[0]["link"], kind, seen | {link}) if inputs else None
        return [number, slot]


def runs(node: Mapping[str, Any]) -> bool:
    """Whether the server gets to see a node."""
    return node.get("mode") not in (NEVER, BYPASS) and node["type"] not in (*NOTES, REROUTE, PRIMITIVE)


def origin(link: Any) -> tuple[Any, tuple[str, int]]:
    """A link's number and where it comes from; newer pages write links as objects."""
    if isinstance(link, Mapping):
        return link["id"], (str(link["origin_id"]), link["origin_slot"])
    return link[0], (str(link[1]), link[2])


def by_position(saved: Sequence[Any], shown: Sequence[Input]) -> dict[str, Any]:
    """Values in the order of the widgets, without those of "control after generate"; missing ones are left out."""
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
    """The input that a bypassed node gives in the place of an output: the same slot, else the first that fits."""
    kinds = [socket["type"] for socket in node.get("inputs") or []]
    given = node["outputs"][slot]["type"]
    if kind in ("*", ""):
        return (slot if slot < len(kinds) else 0) if kinds else None
    fitting = [index for index, one in enumerate(kinds) if fits(one, given) and fits(one, kind)]
    if slot in fitting:
        return slot
    return next(iter([index for index, one in enumerate(kinds) if one == kind] or fitting), None)


def fits(one: str, other: str) -> bool:
    """Whether two types may be linked; a type can be several names between commas."""
    return "*" in (one, other) or bool(set(one.split(",")) & set(other.split(",")))


def wrapped(value: Any) -> Any:
    """A list as a value, which the prompt would take for a link."""
    return {"__value__": value} if isinstance(value, list) else value
