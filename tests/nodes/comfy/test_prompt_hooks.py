"""A prompt on its way from the queue button to ComfyUI's validation."""

from __future__ import annotations

import pytest

from tests.nodes.conftest import StandIn

OLD = {
    "AutoDIRRestore": {"view": ("crops", "centre", "center"), "threshold": ("min_confidence", 0.6, 0.6)},
    "AutoDIRAssess": {"view": ("crops", "grid", "grid")},
    "AutoDIRLoopOpen": {"view": ("crops", "centre", "center")},
    "AutoDIRLoopClose": {"threshold": ("min_confidence", ["4", 0], ["4", 0])},
    "AutoDIRBlend": {"excluded": ("exclude_labels", "haze", "haze")},
    "AutoDIRMix": {"share": ("weight", 0.25, 0.25)},
    "AutoDIRCompare": {"truth": ("reference", ["1", 0], ["1", 0])},
}
"""Inputs of 0.1.0 before they were renamed: new name, a value of then, the same value today."""


@pytest.fixture
def prepare(pack):
    """What the pack has hooked into the server."""
    (handler,) = pack.prompt_hooks.PromptServer.instance.handlers
    return handler


@pytest.mark.parametrize("class_type", OLD)
def test_old_names_and_values_become_the_new_ones(prepare, class_type):
    before = {name: value for name, (_, value, _) in OLD[class_type].items()}
    request = prepare({"prompt": {"7": {"class_type": class_type, "inputs": {"seed": 5, **before}}}, "client_id": "x"})
    after = {name: value for name, _, value in OLD[class_type].values()}
    assert request["prompt"]["7"]["inputs"] == {"seed": 5, **after} and request["client_id"] == "x"


def test_an_old_value_under_the_new_name_is_a_graph_that_the_page_opened(prepare):
    node = {"class_type": "AutoDIRRestore", "inputs": {"crops": "centre"}}
    prepare({"prompt": {"7": node}})
    assert node["inputs"] == {"crops": "center"}


def test_the_new_name_wins(prepare):
    node = {"class_type": "AutoDIRRestore", "inputs": {"threshold": 0.1, "min_confidence": 0.2}}
    prepare({"prompt": {"7": node}})
    assert node["inputs"] == {"min_confidence": 0.2}


def test_a_link_under_the_old_name_wins_over_the_widget(prepare):
    node = {"class_type": "AutoDIRRestore", "inputs": {"threshold": ["4", 0], "min_confidence": 0.0}}
    prepare({"prompt": {"7": node}})
    assert node["inputs"] == {"min_confidence": ["4", 0]}


def test_other_packs_are_left_alone(prepare):
    node = {"class_type": "Threshold", "inputs": {"threshold": 0.1, "view": "centre"}}
    prepare({"prompt": {"7": node}})
    assert node["inputs"] == {"threshold": 0.1, "view": "centre"}


def test_an_example_picture_is_there_before_load_image_is_validated(prepare):
    prepare({"prompt": {"1": {"class_type": "LoadImage", "inputs": {"image": "autodir_sample.png"}}}})
    (path,) = StandIn.input.iterdir()
    assert path.name == "autodir_sample.png"
    path.unlink()


@pytest.mark.parametrize("request_", [{}, {"prompt": None}, {"prompt": {"1": None, "2": {"inputs": []}}}])
def test_what_is_no_prompt_is_left_to_comfyui(prepare, request_):
    assert prepare(dict(request_)) == request_
