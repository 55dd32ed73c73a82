"""What the shared workflows tell ComfyUI's page without being run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in ROOT.glob("workflows/*.json")}
WINDOW = 1280, 720
TITLE = 30
"""Height of a node's title, which stands above its position."""

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


@every_workflow
def test_a_missing_node_can_be_traced_to_its_pack(graph: dict[str, Any]) -> None:
    for node in graph["nodes"]:
        if node["type"] != "MarkdownNote":
            ours = node["type"].startswith("AutoDIR")
            assert node["properties"]["cnr_id"] == ("comfyui-autodir" if ours else "comfy-core"), node["type"]


def test_restore_is_an_app_too() -> None:
    """ComfyUI's app mode shows a few inputs and results: the photo goes in, picture and report come out."""
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
