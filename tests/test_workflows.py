"""What the shared workflows tell ComfyUI's page without being run."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in ROOT.glob("workflows/*.json")}
BLUEPRINTS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in ROOT.glob("subgraphs/*.json")}
WINDOW = 1280, 720
TITLE = 30
"""Height of a node's title, which stands above its position."""

CONTRACT = json.loads((ROOT / "tests/nodes/contract.json").read_text(encoding="utf-8"))
Point = tuple[float, float]
VALUES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
"""Types of inputs that the page shows as widgets, besides lists of choices."""

FACTS = re.compile(r"`[^`\n]+`|\d+(?:\.\d+)*")
"""What a translation keeps: code and numbers."""

every_workflow = pytest.mark.parametrize("graph", WORKFLOWS.values(), ids=WORKFLOWS)


@every_workflow
def test_it_opens_fitted_to_a_small_window(graph: dict[str, Any]) -> None:
    """Every node is seen, and none smaller than it must be."""
    scale, (right, down) = graph["extra"]["ds"]["scale"], graph["extra"]["ds"]["offset"]
    corners = []
    for node in graph["nodes"]:
        (x, y), (width, height) = node["pos"], node["size"]
        corners += [(x, y - TITLE), (x + width, y + height)]
    seen = [((x + right) * scale, (y + down) * scale) for x, y in corners]
    assert all(0 <= x <= WINDOW[0] and 0 <= y <= WINDOW[1] for x, y in seen)
    spans = [max(values) - min(values) for values in zip(*seen, strict=True)]
    assert max(span / side for span, side in zip(spans, WINDOW, strict=True)) > 0.7 or scale == 1


class TestWires:
    """A wire that runs behind a node looks as if it ended there."""

    SLOT = 20
    """Height of a row of sockets."""
    STEPS = 60

    def box(self, node: dict[str, Any]) -> tuple[float, float, float, float]:
        (x, y), (width, height) = node["pos"], node["size"]
        return x, y - TITLE, x + width, y + height

    def entry(self, node: dict[str, Any], number: int) -> tuple[float, float]:
        """Where the page draws an input: those of widgets stand beside them, below the rows of the others."""
        widgets = ["widget" in socket for socket in node["inputs"]]
        before = widgets[:number].count(widgets[number])
        rows = max(widgets.count(False), len(node["outputs"])) + 0.3 if widgets[number] else 0
        return node["pos"][0], node["pos"][1] + self.SLOT * (rows + 0.7 + before * (1.2 if widgets[number] else 1))

    def exit(self, node: dict[str, Any], number: int) -> tuple[float, float]:
        """Where the page draws an output."""
        return node["pos"][0] + node["size"][0], node["pos"][1] + self.SLOT * (number + 0.7)

    def course(self, start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
        """Points of the page's curve, which leaves and arrives level."""
        reach = math.dist(start, end) / 4
        (x, y), (right, down) = start, end
        curve = []
        for step in range(self.STEPS + 1):
            t = step / self.STEPS
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
            curve.append((a * x + b * (x + reach) + c * (right - reach) + d * right, (a + b) * y + (c + d) * down))
        return curve

    def clear(self, nodes: dict[int, dict[str, Any]], ends: tuple[Point, Point], own: set[int]) -> None:
        """Nothing but its own nodes may lie on a wire, and it never runs back."""
        assert ends[0][0] < ends[1][0], f"of {own} runs back"
        for node in nodes.keys() - own:
            left, top, right, bottom = self.box(nodes[node])
            hidden = [(x, y) for x, y in self.course(*ends) if left < x < right and top < y < bottom]
            assert hidden == [], f"of {own} behind {node}"

    def check(self, nodes: dict[int, dict[str, Any]], links: Iterable[tuple[int, int, int, int]]) -> None:
        for start, output, end, entry in links:
            self.clear(nodes, (self.exit(nodes[start], output), self.entry(nodes[end], entry)), {start, end})

    @every_workflow
    def test_none_runs_behind_a_node_or_back(self, graph: dict[str, Any]) -> None:
        self.check({node["id"]: node for node in graph["nodes"]}, [link[1:5] for link in graph["links"]])

    def test_nor_in_a_blueprint(self) -> None:
        keys = "origin_id", "origin_slot", "target_id", "target_slot"
        for graph in BLUEPRINTS.values():
            [inner] = graph["definitions"]["subgraphs"]
            nodes = {node["id"]: node for node in inner["nodes"]}
            links = [tuple(link[key] for key in keys) for link in inner["links"]]
            self.check(nodes, [link for link in links if link[0] in nodes and link[2] in nodes])

    def row(self, node: dict[str, Any], widget: str) -> Point:
        """Where newer pages draw the input of a widget that the blueprint shows."""
        inputs = CONTRACT[node["type"]]["inputs"]
        kinds = {key: str(kind[0]) for key, kind in (inputs["required"] | inputs.get("optional", {})).items()}
        widgets = [key for key, kind in kinds.items() if kind in VALUES or not kind.isupper()]
        rows = max(len(kinds) - len(widgets), len(node["outputs"])) + 1 + 1.2 * widgets.index(widget)
        return node["pos"][0], node["pos"][1] + self.SLOT * rows

    def test_nor_from_the_inputs_of_a_blueprint(self) -> None:
        """Newer pages add one for each widget that it shows."""
        for graph in BLUEPRINTS.values():
            [outer], [inner] = graph["nodes"], graph["definitions"]["subgraphs"]
            nodes = {node["id"]: node for node in inner["nodes"]}
            left, top, *_ = inner["inputNode"]["bounding"]
            starts = [(left + 100, top + self.SLOT * (number + 1.1)) for number in range(10)]
            for link in (link for link in inner["links"] if link["origin_id"] not in nodes):
                end = self.entry(nodes[link["target_id"]], link["target_slot"])
                self.clear(nodes, (starts[link["origin_slot"]], end), {link["target_id"]})
            for slot, (number, widget) in enumerate(outer["properties"]["proxyWidgets"], len(inner["inputs"])):
                self.clear(nodes, (starts[slot], self.row(nodes[int(number)], widget)), {int(number)})


@every_workflow
def test_a_missing_node_can_be_traced_to_its_pack(graph: dict[str, Any]) -> None:
    for node in graph["nodes"]:
        if node["type"] != "MarkdownNote":
            ours = node["type"].startswith("AutoDIR")
            assert node["properties"]["cnr_id"] == ("comfyui-autodir" if ours else "comfy-core"), node["type"]


def test_restore_is_an_app_too() -> None:
    """ComfyUI's app mode shows a few inputs and results; of these it has left out the text so far."""
    graph = WORKFLOWS["restore"]
    types = {str(node["id"]): node["type"] for node in graph["nodes"]}
    app = graph["extra"]["linearData"]
    assert [(types[node], name) for node, name in app["inputs"]] == [
        ("LoadImage", "image"),
        ("AutoDIRRestore", "preset"),
        ("AutoDIRRestore", "strength"),
    ]
    assert [types[node] for node in app["outputs"]] == ["SaveImage", "PreviewImage", "PreviewAny"]
    assert "linearMode" not in graph["extra"], "it opens as a graph"


every_blueprint = pytest.mark.parametrize("name", BLUEPRINTS)


def test_there_are_three_blueprints() -> None:
    assert BLUEPRINTS.keys() == {"Restore (guarded)", "Loop", "Low light"}


@every_blueprint
class TestBlueprints:
    """A blueprint is a workflow of one node, the subgraph that the page offers in its list of nodes."""

    def parts(self, name: str) -> tuple[dict[str, Any], dict[str, Any], dict[int, dict[str, Any]]]:
        """The node, the subgraph, and the nodes in that by id."""
        [outer], [inner] = BLUEPRINTS[name]["nodes"], BLUEPRINTS[name]["definitions"]["subgraphs"]
        return outer, inner, {node["id"]: node for node in inner["nodes"]}

    def test_the_node_is_the_subgraph(self, name: str) -> None:
        outer, inner, _ = self.parts(name)
        assert outer["type"] == inner["id"] and outer["title"] == inner["name"] == name
        for sockets in ("inputs", "outputs"):
            shown, meant = ([(one["name"], one["type"]) for one in graph[sockets]] for graph in (outer, inner))
            assert shown == meant
        assert inner["description"].endswith(".") and inner["category"] == "AutoDIR"

    def test_every_link_has_both_its_ends(self, name: str) -> None:
        """The subgraph's own inputs are node -10, its outputs node -20."""
        _, inner, nodes = self.parts(name)
        starts = {-10: inner["inputs"]} | {number: node["outputs"] for number, node in nodes.items()}
        ends = {-20: inner["outputs"]} | {number: node["inputs"] for number, node in nodes.items()}
        for link in inner["links"]:
            start = starts[link["origin_id"]][link["origin_slot"]]
            end = ends[link["target_id"]][link["target_slot"]]
            assert link["id"] in (start.get("links") or start.get("linkIds"))
            assert end["link"] == link["id"] if "link" in end else end["linkIds"] == [link["id"]]
            assert link["type"] == start["type"] and link["type"] in (end["type"], "*")
        given = [socket["link"] for node in nodes.values() for socket in node["inputs"] if socket["link"] is not None]
        assert sorted(given) == sorted(link["id"] for link in inner["links"] if link["target_id"] != -20)

    def test_it_needs_nothing_but_the_picture(self, name: str) -> None:
        outer, _, nodes = self.parts(name)
        assert {node["type"] for node in nodes.values()} <= CONTRACT.keys()
        for node in nodes.values():
            linked = {socket["name"] for socket in node["inputs"] if socket["link"] is not None}
            required = CONTRACT[node["type"]]["inputs"]["required"]
            assert {key for key, kind in required.items() if str(kind[0]).isupper() and kind[1:] == [{}]} <= linked
        assert outer["inputs"][0]["name"] == "image"

    def test_its_widgets_are_those_of_nodes_inside(self, name: str) -> None:
        outer, _, nodes = self.parts(name)
        for number, widget in outer["properties"]["proxyWidgets"]:
            inputs = CONTRACT[nodes[int(number)]["type"]]["inputs"]
            assert widget in inputs["required"] | inputs.get("optional", {}), widget


def test_their_notes_and_titles_are_there_in_chinese() -> None:
    """The page's extension looks them up by the English text, whole."""
    told = json.loads((ROOT / "web/workflow_texts.zh.json").read_text(encoding="utf-8"))
    nodes = [node for graph in WORKFLOWS.values() for node in graph["nodes"]]
    groups = [group for graph in WORKFLOWS.values() for group in graph["groups"]]
    assert told["titles"].keys() == {one["title"] for one in [*nodes, *groups] if one.get("title")}
    assert told["notes"].keys() == {node["widgets_values"][0] for node in nodes if node["type"] == "MarkdownNote"}
    for english, chinese in (told["titles"] | told["notes"]).items():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)
        assert FACTS.findall(chinese) == FACTS.findall(english), english
