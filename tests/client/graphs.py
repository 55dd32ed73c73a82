"""Saved graphs for the tests."""

from __future__ import annotations

import json
from pathlib import Path

PAGE = json.loads((Path(__file__).parent / "page.json").read_text(encoding="utf-8"))
"""A graph with every kind of node that vanishes, as the page of ComfyUI 0.3.64 saved it, and the prompt it made."""


def graph(*nodes: dict, links: tuple = ()) -> dict:
    """A saved graph; what a node does not tell is empty."""
    empty = {"mode": 0, "inputs": [], "outputs": [], "properties": {}}
    return {"nodes": [{**empty, "id": number, **node} for number, node in enumerate(nodes, 1)], "links": list(links)}
