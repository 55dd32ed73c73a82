"""The body of a loop in a graph and its clones for the next round, on plain dictionaries of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...autodir_core.errors import InputError

Node = Mapping[str, Any]
"""A node of a prompt in API format: "class_type" and "inputs"."""

Graph = Mapping[str, Node]
"""The nodes of one level of a running graph by id: those that the user drew, or those that one node expanded to."""

OPEN, CLOSE = "AutoDIRLoopOpen", "AutoDIRLoopClose"
PREVIOUS, LAST, LOW_CONFIDENCE, GATE = "previous", "last", "low_confidence", "gate"
"""Inputs of Loop Open that only its clones have: the previous round, whether it was the last, the pictures that
Loop Close gave up in it, as indices from 0 separated by commas, and whether the quality gate judges it.

The link to the previous round bypasses Loop Close, so that the cache finds a round again whatever `min_confidence` is,
as long as the same pictures were given up.
"""

PLAIN = ("class_type", "inputs", "is_changed", "_meta")
"""Keys of a node that name no other node; ComfyUI adds its own, such as those of its loops, that do."""

CARRIED = ("image", "value_a", "value_b")
"""Inputs that Loop Close passes on to the next Loop Open."""


def is_link(value: Any) -> bool:
    """Return whether an input's value is [id, output] of another node."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def sources(node: Node) -> Iterator[str]:
    """Yield the ids of the nodes that one takes its inputs from."""
    return (value[0] for value in node["inputs"].values() if is_link(value))


def reachable(start: str, neighbors: Callable[[str], Iterable[str]]) -> set[str]:
    """Return all nodes that can be reached from one over one or more steps."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = set(neighbors(waiting.pop())) - found
        found |= new
        waiting += new
    return found


def upstream(graph: Graph, node_id: str) -> set[str]:
    """Return the nodes of this level that one depends on."""
    return reachable(node_id, lambda at: (source for source in sources(graph[at]) if source in graph))


def downstream(graph: Graph, node_id: str) -> set[str]:
    """Return the nodes of this level that depend on one."""
    users: dict[str, list[str]] = {}
    for user, node in graph.items():
        for source in sources(node):
            users.setdefault(source, []).append(user)
    return reachable(node_id, lambda at: users.get(at, ()))


def find_open(graph: Graph, close_id: str) -> str:
    """Return the Loop Open of a Loop Close; raises InputError unless the two are linked directly and one to one."""
    link = graph[close_id]["inputs"]["loop"]
    if link[0] not in graph or graph[link[0]]["class_type"] != OPEN:
        raise InputError("the loop output of AutoDIR Loop Open must go straight into AutoDIR Loop Close; link the two")
    ends = [node for node in graph.values() if node["class_type"] == CLOSE and node["inputs"].get("loop") == link]
    if len(ends) > 1:
        raise InputError(f"one AutoDIR Loop Open feeds {len(ends)} AutoDIR Loop Close; give each Close its own Open")
    return link[0]


def check_result(graph: Graph, close_id: str) -> None:
    """Raise InputError unless the picture of a Loop Close is made by nodes behind its Loop Open."""
    open_id = find_open(graph, close_id)
    link = graph[close_id]["inputs"]["image"]
    source = link[0] if isinstance(link, list) else None  # a value instead of a link comes from outside
    if source == open_id:
        raise InputError(
            "the loop has no nodes: AutoDIR Loop Close gets its image straight from AutoDIR Loop Open; put those that "
            "restore it between the two, and bypass none that is alone there"
        )
    if source not in downstream(graph, open_id):
        raise InputError(
            "AutoDIR Loop Close gets its image from outside the loop; link the result of nodes that begin at the "
            "outputs of AutoDIR Loop Open"
        )


def loop_body(graph: Graph, close_id: str, is_output: Callable[[str], bool]) -> set[str]:
    """Return the nodes that every round runs, without the two ends.

    They are between the ends, or on a side branch that leads to an output node, such as a preview, and does not depend
    on the end of the loop.

    Args:
        graph: the level of the loop.
        close_id: its Loop Close.
        is_output: whether nodes of a class run for their own sake, such as previews.
    """
    open_id = find_open(graph, close_id)
    inside = downstream(graph, open_id) - downstream(graph, close_id) - {close_id}
    wanted = upstream(graph, close_id)
    for node_id in inside:
        if is_output(graph[node_id]["class_type"]):
            wanted |= upstream(graph, node_id) | {node_id}
    return inside & wanted


def clone_round(
    graph: Graph,
    close_id: str,
    is_output: Callable[[str], bool],
    *,
    last: bool,
    low_confidence: str = "",
    new_id: Callable[[str], str],
    drawn_id: Callable[[str], str],
) -> dict[str, dict[str, Any]]:
    """Clone the body and both ends for another round; returns an expansion, nodes by their new ids.

    The new Loop Open gets the links of Loop Close's inputs, never values: links have the same cache key in the next
    run. Links to nodes outside the loop stay.

    Args:
        graph, close_id, is_output: as in `loop_body`.
        last: no round follows: only the ends are cloned, to collect the results of the body.
        low_confidence: the pictures that ignore the results of the body, as in `LOW_CONFIDENCE`.
        new_id: maps the id of a node to that of its clone.
        drawn_id: maps the id of a node to that of the node on the page that shows its previews.
    """
    check_result(graph, close_id)
    open_id = find_open(graph, close_id)
    body = set() if last else loop_body(graph, close_id, is_output)
    ids = {old: new_id(old) for old in sorted(body | {open_id, close_id})}
    clones: dict[str, dict[str, Any]] = {
        new: {
            **{key: renamed(value, ids) for key, value in graph[old].items() if key not in PLAIN},
            "class_type": graph[old]["class_type"],
            "inputs": relink_inputs(graph[old], ids),
            "override_display_id": drawn_id(old),
        }
        for old, new in ids.items()
    }
    given = graph[close_id]["inputs"]
    carried = {name: given[name] for name in CARRIED if name in given}
    hidden = {PREVIOUS: given["loop"], LAST: last, LOW_CONFIDENCE: low_confidence, GATE: given.get(GATE, False)}
    clones[ids[open_id]]["inputs"] |= carried | hidden
    return clones


def renamed(value: Any, ids: Mapping[str, str]) -> Any:
    """Return a value of a node's with the ids of cloned nodes moved to the clones, however deep they are."""
    if isinstance(value, str):
        return ids.get(value, value)
    if isinstance(value, list):
        return [renamed(one, ids) for one in value]
    return {key: renamed(one, ids) for key, one in value.items()} if isinstance(value, dict) else value


def relink_inputs(node: Node, ids: Mapping[str, str]) -> dict[str, Any]:
    """Return a node's inputs, with links to cloned nodes moved to the clones."""
    return {
        name: [ids[value[0]], value[1]] if is_link(value) and value[0] in ids else value
        for name, value in node["inputs"].items()
    }


def local_name(node_id: str, parent: str | None) -> str:
    """Return a node's id without the prefix "<parent>.<call>.<graph>." of its level, so that ids do not grow."""
    if parent is None:
        return node_id
    return node_id.removeprefix(f"{parent}.").removeprefix(f"{clone_id(parent)}.").split(".", 2)[-1]


def clone_id(name: str) -> str:
    """Return a name for a clone. The page takes what is before a ":" for a subgraph, and would look for it in vain."""
    return name.replace(":", "-")
