"""Which nodes stand between a loop's two ends and how they are drawn once more, on plain dictionaries of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...autodir_core.errors import InputError

Node = Mapping[str, Any]
"""A node as a prompt in API format holds it: "class_type" and "inputs"."""

Graph = Mapping[str, Node]
"""The nodes of one level of a running graph by id: those the user drew, or those that one node expanded to."""

OPEN, CLOSE = "AutoDIRLoopOpen", "AutoDIRLoopClose"
PREVIOUS, LAST, LOW_CONFIDENCE = "previous", "last", "low_confidence"
"""Inputs of Loop Open that only its clones have: the previous round, whether it was the last, and the pictures that
Loop Close gave up in it, as indices from 0 separated by commas.

The link to the previous round bypasses Loop Close, so that the cache finds a round again whatever `min_confidence` is,
as long as the same pictures were given up.
"""

CARRIED = ("image", "value_a", "value_b")
"""Inputs that Loop Close passes on to the next Loop Open."""


def is_link(value: Any) -> bool:
    """Whether an input's value is [id, output] of another node."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def sources(node: Node) -> Iterator[str]:
    """The ids of the nodes that one takes its inputs from."""
    return (value[0] for value in node["inputs"].values() if is_link(value))


def reachable(start: str, neighbours: Callable[[str], Iterable[str]]) -> set[str]:
    """All that can be reached from a node over one or more steps."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = set(neighbours(waiting.pop())) - found
        found |= new
        waiting += new
    return found


def upstream(graph: Graph, node_id: str) -> set[str]:
    """The nodes of this level that one depends on."""
    return reachable(node_id, lambda at: (source for source in sources(graph[at]) if source in graph))


def downstream(graph: Graph, node_id: str) -> set[str]:
    """The nodes of this level that depend on one."""
    users: dict[str, list[str]] = {}
    for user, node in graph.items():
        for source in sources(node):
            users.setdefault(source, []).append(user)
    return reachable(node_id, lambda at: users.get(at, ()))


def open_of(graph: Graph, close_id: str) -> str:
    """The Loop Open that a Loop Close belongs to; InputError unless they are linked straight and one to one."""
    link = graph[close_id]["inputs"]["loop"]
    if link[0] not in graph or graph[link[0]]["class_type"] != OPEN:
        raise InputError("the loop output of AutoDIR Loop Open must go straight into AutoDIR Loop Close; link the two")
    ends = [node for node in graph.values() if node["class_type"] == CLOSE and node["inputs"].get("loop") == link]
    if len(ends) > 1:
        raise InputError(f"one AutoDIR Loop Open feeds {len(ends)} AutoDIR Loop Close; give each Close its own Open")
    return link[0]


def body_of(graph: Graph, close_id: str, is_output: Callable[[str], bool]) -> set[str]:
    """The nodes that every round runs, without the two ends.

    They stand between the ends, or on a side branch of them that leads to an output node, such as a preview, and does
    not wait for the loop to finish.

    Args:
        graph: the level that the loop stands on.
        close_id: its Loop Close.
        is_output: whether nodes of a class are run for what they show or save.
    """
    open_id = open_of(graph, close_id)
    inside = downstream(graph, open_id) - downstream(graph, close_id) - {close_id}
    wanted = upstream(graph, close_id)
    for node_id in inside:
        if is_output(graph[node_id]["class_type"]):
            wanted |= upstream(graph, node_id) | {node_id}
    return inside & wanted


def next_round(
    graph: Graph,
    close_id: str,
    is_output: Callable[[str], bool],
    *,
    last: bool,
    low_confidence: str = "",
    new_id: Callable[[str], str],
    drawn_id: Callable[[str], str],
) -> dict[str, dict[str, Any]]:
    """The loop once more: clones of the body and of both ends by their new ids, as a node's expansion holds them.

    The new Loop Open gets links to what Loop Close was given, never values: the cache knows links again in the next
    run. Links to nodes outside the loop stay.

    Args:
        graph, close_id, is_output: as in `body_of`.
        last: no round follows: only the ends are cloned, to take up what the body made.
        low_confidence: the pictures that do not take up what the body made, as in `LOW_CONFIDENCE`.
        new_id: the id of a node's clone.
        drawn_id: the node on the page that shows what a clone shows.
    """
    open_id = open_of(graph, close_id)
    again = set() if last else body_of(graph, close_id, is_output)
    ids = {old: new_id(old) for old in sorted(again | {open_id, close_id})}
    clones: dict[str, dict[str, Any]] = {
        new: {
            "class_type": graph[old]["class_type"],
            "inputs": relinked(graph[old], ids),
            "override_display_id": drawn_id(old),
        }
        for old, new in ids.items()
    }
    given = graph[close_id]["inputs"]
    carried = {name: given[name] for name in CARRIED if name in given}
    clones[ids[open_id]]["inputs"] |= {**carried, PREVIOUS: given["loop"], LAST: last, LOW_CONFIDENCE: low_confidence}
    return clones


def relinked(node: Node, ids: Mapping[str, str]) -> dict[str, Any]:
    """A node's inputs with the links to cloned nodes moved to their clones."""
    return {
        name: [ids[value[0]], value[1]] if is_link(value) and value[0] in ids else value
        for name, value in node["inputs"].items()
    }


def local_name(node_id: str, parent: str | None) -> str:
    """A node's id without "<parent>.<call>.<graph>.", which is put in front at each level: ids must not grow on."""
    return node_id if parent is None else node_id.removeprefix(f"{parent}.").split(".", 2)[-1]
