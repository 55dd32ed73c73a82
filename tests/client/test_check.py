"""What a server lacks to run a workflow."""

from __future__ import annotations

from copy import deepcopy

import pytest

from autodir_client import Workflow
from autodir_client.check import missing_requirements
from tests.client.helpers.fake import DEFINITIONS, PAGE, WORKFLOW, graph


def lines(prompt=WORKFLOW, definitions=DEFINITIONS, version="0.3.64", **changes) -> list[str]:
    prompt = deepcopy(prompt)
    prompt["2"]["inputs"].update(changes)
    return missing_requirements(prompt, definitions, version)


def test_nothing():
    assert lines() == []
    assert missing_requirements(PAGE["prompt"], PAGE["definitions"], "0.4") == [
        "node 7 (Image Blend): the required input 'image2' is neither linked nor set"
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"file": "huge.ckpt"}, "file = 'huge.ckpt' is not on the server; it has: small.ckpt, large.ckpt"),
        ({"steps": 0}, "steps = 0 is outside 1..100"),
        ({"steps": "euler"}, "steps = 'euler' is no number (saved with another version of the pack?)"),
        ({"speed": 3}, "the input 'speed' is unknown to the server (another version of the pack?)"),
        ({"image": ["9", 0]}, "image is linked to node 9, which the workflow does not have"),
        ({"image": ["1", 2]}, "image is linked to output 2 of node 1 (Photo), which has fewer"),
    ],
)
def test_values(changes, line):
    assert lines(**changes) == [f"node 2 (Restore): {line}"]


def test_a_photo_in_a_folder_of_the_server_is_not_listed():
    prompt = deepcopy(WORKFLOW)
    prompt["1"]["inputs"]["image"] = "autodir/a.png"
    assert lines(prompt) == []
    prompt["1"]["inputs"]["image"] = "gone.png"
    assert lines(prompt) == ["node 1 (Photo): image = 'gone.png' is not on the server; it has: example.png"]


def test_missing_types_name_their_pack():
    types = {"AutoDIRMix": {}, "Sharpen": {"cnr_id": "comfyui-sharp"}, "New": {"cnr_id": "comfy-core"}}
    nodes = [{"type": name, "properties": properties} for name, properties in types.items()]
    nodes += [{"type": "Any (rgthree)"}, {"type": "Odd"}, {"type": "Odd"}]
    workflow = Workflow("w", graph(*nodes))
    assert missing_requirements(workflow.prompt({}), {}, "0.3.64", workflow) == [
        "node type Any (rgthree) (node 4) is missing; perhaps of the pack rgthree",
        "node type AutoDIRMix (node 1) is missing; install the pack comfyui-autodir",
        "node type New (node 3) is missing; it belongs to ComfyUI itself: update the server",
        "node type Odd (node 5, 6) is missing; the workflow does not tell which pack has it",
        "node type Sharpen (node 2) is missing; install the pack comfyui-sharp",
    ]


@pytest.mark.parametrize(("version", "old"), [("0.3.44", True), ("0.3.45", False), ("0.10.0", False), ("", False)])
def test_the_oldest_comfyui(version, old):
    assert lines(version=version) == [f"ComfyUI {version} is too old: this client needs 0.3.45 or newer"] * old


def test_an_older_comfyui_is_named_where_something_missing_requirements():
    core = {"type": "New", "properties": {"cnr_id": "comfy-core", "ver": "0.3.70"}}
    workflow = Workflow("w", graph(core))
    told = missing_requirements(workflow.prompt({}), {}, "0.3.64", workflow)
    assert told[0] == "ComfyUI 0.3.64 is older than the one that saved the workflow (0.3.70); update it first"
    assert len(missing_requirements(workflow.prompt({}), {}, "0.3.70", workflow)) == 1
