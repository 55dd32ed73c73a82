"""The shipped graphs on a real ComfyUI: what they give, what the page hears, how they stop and fail."""

from __future__ import annotations

import io
import json
import re
import urllib.parse

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from autodir_core.reporting.drawing import GAP
from autodir_core.reporting.probability_chart import BAR_WIDTH, NAME_WIDTH, NUMBER_WIDTH, ROW_HEIGHT
from tests.host.conftest import STEPS, number_of, pixels, saved_by_comfyui
from tests.host.server import READY, ROOT, Websocket, error_of
from tests.nodes.test_definitions import NODES

pytestmark = pytest.mark.host

JPEG_EVENT = 1
SAMPLING_BEGINS = 50
"""Of the 1000 parts of the Restore node's bar: assessment and encoding come before."""
ENDS = ("execution_success", "execution_error", "execution_interrupted")


def test_every_node_is_offered(server):
    offered = {name: node for name, node in server.call("/object_info").items() if name.startswith("AutoDIR")}
    assert offered.keys() == set(NODES)
    for node in offered.values():
        assert node["category"] == "AutoDIR" and node["description"] and node["display_name"].startswith("AutoDIR ")
        sockets = {**node["input"]["required"], **node["input"].get("optional", {})}
        assert all(options[1]["tooltip"] for options in sockets.values())
        assert len(node["output_tooltips"]) == len(node["output"])


def test_the_model_folder_is_listed(server):
    (choices, _) = server.call("/object_info/AutoDIRLoadModel")["AutoDIRLoadModel"]["input"]["required"]["file"]
    assert choices == ["autodir-mini (embedded)", "tiny.safetensors"]


def test_the_workflows_are_templates(server):
    paths = sorted((ROOT / "workflows").glob("*.json"))
    assert sorted(server.call("/api/workflow_templates")["autodir"]) == [path.stem for path in paths]
    for path in paths:
        name = urllib.parse.quote(path.name)
        assert server.call(f"/api/workflow_templates/autodir/{name}") == json.loads(path.read_text(encoding="utf-8"))


def test_the_blueprints_are_offered(server, comfyui):
    if not (comfyui / "app/subgraph_manager.py").is_file():
        pytest.skip("this ComfyUI has no blueprints of packs")
    offered = server.call("/global_subgraphs")
    ours = {entry["name"]: number for number, entry in offered.items() if entry["source"] == "custom_node"}
    assert ours.keys() == {path.stem for path in (ROOT / "subgraphs").glob("*.json")} and len(ours) == 3
    for name, number in ours.items():
        given = server.call(f"/global_subgraphs/{number}")
        assert given["data"] == (ROOT / f"subgraphs/{name}.json").read_text(encoding="utf-8")
        assert given["info"]["node_pack"] == "custom_nodes.autodir"


def test_restore_gives_what_the_core_gives_alone(server, workflow, alone):
    prompt = workflow("restore")
    outputs = server.run(prompt)
    (image,) = outputs[number_of(prompt, "SaveImage")]["images"]
    assert np.array_equal(pixels(server.file(image)), saved_by_comfyui(alone["image"]))
    (report,) = outputs[number_of(prompt, "PreviewAny")]["text"]
    assert [line.split()[2] for line in report.splitlines()[:-1]] == [label.split()[0] for label in alone["labels"]]
    (montage,) = outputs[number_of(prompt, "PreviewImage")]["images"]
    assert pixels(server.file(montage)).shape[1] > 3 * 72


def test_one_round_step_by_step_is_the_first_of_the_loop(server, workflow, alone):
    prompt = workflow("step_by_step")
    sample = number_of(prompt, "AutoDIRSample")
    prompt["latent"] = {"class_type": "SaveLatent", "inputs": {"samples": [sample, 0], "filename_prefix": "step"}}
    outputs = server.run(prompt)
    (latent,) = outputs["latent"]["latents"]
    assert torch.equal(load_file(server.file(latent))["latent_tensor"], alone["latent"])
    for number, expected in (
        (number_of(prompt, "SaveImage"), alone["corrected"]),
        (number_of(prompt, "PreviewImage", "Generated"), alone["generated"]),
        (number_of(prompt, "PreviewImage", "Residual"), alone["corrected"] - alone["generated"] + 0.5),
    ):
        (image,) = outputs[number]["images"]
        assert np.array_equal(pixels(server.file(image)), saved_by_comfyui(expected))


def test_nothing_runs_again_that_did_not_change(server, workflow):
    server.run(workflow("step_by_step", weight=0.5))
    done = server.result(server.queue(workflow("step_by_step", weight=0.25)))
    (cached,) = (content["nodes"] for kind, content in done["status"]["messages"] if kind == "execution_cached")
    prompt = workflow("step_by_step")
    assert {number_of(prompt, f"AutoDIR{name}") for name in ("LoadModel", "Assess", "Sample", "Decode")} <= set(cached)
    assert number_of(prompt, "AutoDIRCorrect") not in cached


def test_the_page_hears_progress_and_previews(server, workflow):
    prompt = workflow("step_by_step", seed=11)
    node = number_of(prompt, "AutoDIRSample")
    progress, previews = [], []
    with Websocket(server, "page") as page:
        number = server.queue(prompt, "page")
        for event in page.events():
            if isinstance(event, bytes) and int.from_bytes(event[:4], "big") == JPEG_EVENT:
                previews.append(event)
            elif isinstance(event, dict) and event["type"] == "progress" and event["data"]["node"] == node:
                progress.append((event["data"]["value"], event["data"]["max"]))
            elif isinstance(event, dict) and event["type"] in ENDS and event["data"]["prompt_id"] == number:
                break
    parts = [value / total for value, total in progress]
    assert parts == sorted(parts) and {round(part * STEPS) for part in parts} == set(range(STEPS + 1))
    assert len(previews) == STEPS
    picture = Image.open(io.BytesIO(previews[0][8:]))
    assert (picture.format, picture.mode) == ("JPEG", "RGB")


def test_the_assessment_is_shown_as_bars_and_told_as_text(server, workflow):
    prompt = workflow("step_by_step", labels="noise, no")
    shown = server.run(prompt)[number_of(prompt, "AutoDIRAssess")]
    (drawn,), (report,) = shown["images"], shown["text"]
    assert drawn["type"] == "temp" and pixels(server.file(drawn)).shape == (
        2 * ROW_HEIGHT + 2 * GAP,
        NAME_WIDTH + BAR_WIDTH + NUMBER_WIDTH + 2 * GAP,
        3,
    )
    assert sorted(line.split()[0] for line in report.splitlines()) == ["no", "noise"]


def test_cancel_stops_within_a_step(server, workflow):
    prompt = workflow("restore", steps=1000, seed=12)
    done = 0
    with Websocket(server, "page") as page:
        number = server.queue(prompt, "page")
        for event in page.events():
            if isinstance(event, dict) and event["type"] == "progress" and event["data"]["max"] == 1000:
                done = event["data"]["value"]
                if done > SAMPLING_BEGINS:
                    server.call("/interrupt", {})
            elif isinstance(event, dict) and event["type"] in ENDS:
                break
    assert SAMPLING_BEGINS < done < 150
    assert any(kind == "execution_interrupted" for kind, _ in server.result(number)["status"]["messages"])
    server.run(workflow("restore"))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("step_by_step", {"labels": "haze, fog"}, "unknown label 'fog'; this model knows: noise, blur, rain"),
        ("restore", {"labels": "noise\nmist"}, "unknown label 'mist'; this model knows: noise, blur, rain"),
        ("step_by_step", {"exclude_labels": "snow"}, "unknown label 'snow'"),
    ],
)
def test_a_wrong_label_is_explained_in_one_line(server, workflow, name, changes, message):
    explained = error_of(server.result(server.queue(workflow(name, **changes)))).strip()
    assert explained.startswith(message) and "\n" not in explained


def test_a_file_that_is_no_model_is_explained(server, workflow):
    (server.base / "models/autodir/wrong.safetensors").write_bytes(b"no tensors here")
    explained = error_of(server.result(server.queue(workflow("restore", file="wrong.safetensors")))).strip()
    assert "wrong.safetensors" in explained and "\n" not in explained


def test_the_log_has_nothing_to_say_about_the_pack(server, workflow):
    server.run(workflow("restore"))
    start, _, after = server.log().partition(READY)
    assert re.search(r"\d\.\d seconds: .*autodir", start) and "IMPORT FAILED): " not in start
    # tracebacks of the tests above that provoke an error are not warnings
    complaints = [line for line in after.splitlines() if re.search(r"warn|deprecat|leak", line, re.IGNORECASE)]
    # ComfyUI's own, about websockets that other tests have closed, and prompts that they meant to be refused
    assert [line for line in complaints if not re.search("closing transport|invalid prompt", line)] == []
