"""The conversion of saved graphs against the page's own."""

from __future__ import annotations

import pytest

from autodir_client.convert import to_prompt
from autodir_core import InputError
from tests.client.helpers.fake import DEFINITIONS, PAGE, graph


def plain(prompt: dict) -> dict:
    """Without titles, which the page translates."""
    return {number: (node["class_type"], node["inputs"]) for number, node in prompt.items()}


def test_it_does_what_the_page_does():
    types = {node["type"] for node in PAGE["graph"]["nodes"]}
    assert types >= {"Reroute", "PrimitiveNode", "Note", "LoadImageMask"}
    assert {node["mode"] for node in PAGE["graph"]["nodes"]} == {0, 2, 4}
    assert plain(to_prompt(PAGE["graph"], PAGE["definitions"])) == plain(PAGE["prompt"])


def test_titles():
    made = to_prompt(PAGE["graph"], PAGE["definitions"])
    assert (made["5"]["_meta"], made["1"]["_meta"]) == ({"title": "Grain: a.b"}, {"title": "Load Image"})


def test_values_of_control_after_generate_are_skipped():
    spec = {
        "seed": ["INT", {}],
        "name": [["a", "b"], {"control_after_generate": True}],
        "plain": ["INT", {"default": 4}],
        "later": ["STRING", {"default": "new"}],
    }
    definitions = {"X": {"input": {"required": spec}, "output": []}}
    saved = {"type": "X", "widgets_values": [5, "randomize", "b", "increment", "filter", 6]}
    expected = {"seed": 5, "name": "b", "plain": 6, "later": "new"}
    assert to_prompt(graph(saved), definitions)["1"]["inputs"] == expected
    saved["widgets_values"] = [5, "b", 6]  # before the page had these controls
    assert to_prompt(graph(saved), definitions)["1"]["inputs"] == expected


def test_values_by_name_lists_and_a_packs_own_widget():
    spec = {"rate": ["INT", {}], "many": ["PICKER"], "only": ["INT", {"forceInput": True}], "image": ["IMAGE"]}
    definitions = {"X": {"input": {"required": spec}, "output": ["IMAGE"]}}
    saved = {"type": "X", "widgets_values": {"rate": 8, "many": [1, 2], "videopreview": {}}}
    expected = {"rate": 8, "many": {"__value__": [1, 2]}}
    assert to_prompt(graph(saved), definitions)["1"]["inputs"] == expected
    saved["widgets_values"] = [8, [1, 2]]
    assert to_prompt(graph(saved), definitions)["1"]["inputs"] == expected


def test_links_as_objects():
    link = {"id": 3, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0, "type": "IMAGE"}
    load = {"type": "LoadImage", "widgets_values": ["a.png", "image"]}
    restore = {"type": "Restore", "inputs": [{"name": "image", "type": "IMAGE", "link": 3}], "widgets_values": [7]}
    made = to_prompt(graph(load, restore, links=(link,)), DEFINITIONS)
    assert made["1"]["inputs"] == {"image": "a.png"}
    assert made["2"]["inputs"] == {"image": ["1", 0], "steps": 7, "file": "small.ckpt", "strength": 1.0}


@pytest.mark.parametrize("name", ["sub-1", "workflow>Mine"])
def test_subgraphs_are_refused(name):
    whole = {**graph({"type": name, "title": "Both"}), "definitions": {"subgraphs": [{"id": "sub-1"}]}}
    with pytest.raises(InputError, match=r"node 1 \(Both\) is a subgraph.*export the workflow in API format"):
        to_prompt(whole, {})


def test_inputs_that_change_are_refused():
    definitions = {"X": {"input": {"required": {"all": ["COMFY_AUTOGROW_V3", {}]}}, "output": []}}
    with pytest.raises(InputError, match=r"node 1 \(X\) has inputs that change with its values"):
        to_prompt(graph({"type": "X"}), definitions)


def test_a_circle_of_reroutes_is_refused():
    def reroute(link: int) -> dict:
        return {"type": "Reroute", "inputs": [{"name": "", "type": "*", "link": link}]}

    save = {"type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]}
    links = ([1, 2, 0, 1, 0, "*"], [2, 3, 0, 2, 0, "*"], [3, 2, 0, 3, 0, "*"])
    with pytest.raises(InputError, match="run in a circle"):
        to_prompt(graph(save, reroute(2), reroute(3), links=links), DEFINITIONS)
