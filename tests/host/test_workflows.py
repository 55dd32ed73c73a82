"""The shared workflows, of every release, through the API of a real ComfyUI: all that they show and save comes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.host.conftest import StartServer, number_of, pixels, prepared
from tests.host.server import ROOT, Server, error_of
from tests.host.test_loops import heard

pytestmark = pytest.mark.host

SHIPPED = {path.read_bytes(): path for path in sorted((ROOT / "workflows/api").glob("*.json"))}
KEPT = {path.read_bytes(): path for path in sorted((ROOT / "tests/host/releases").glob("*/*.json"))}
"""Those of every release, by what is in them: what has not changed since runs once."""

QUICK = {"steps": 2, "labels": "noise, blur, rain", "width": 64, "height": 48}
"""Without "no" among the labels no picture is clean at the start, whatever the tiny model thinks."""


def output_nodes(server: Server, prompt: dict[str, Any]) -> set[str]:
    offered = server.call("/object_info")
    return {number for number, node in prompt.items() if offered[node["class_type"]]["output_node"]}


def pictures(server: Server, entry: dict[str, Any]) -> list[np.ndarray]:
    return [pixels(server.file(image)) for image in entry["images"]]


def saved(server: Server, outputs: dict[str, Any], prompt: dict[str, Any], title: str) -> np.ndarray:
    """The one picture of a Save node, as whole numbers that can be subtracted."""
    (picture,) = pictures(server, outputs[number_of(prompt, "SaveImage", title)])
    return picture.astype(int)


@pytest.mark.parametrize("path", (KEPT | SHIPPED).values(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_output_comes(server, path):
    prompt = prepared(path, **QUICK)
    outputs = server.run(prompt)
    assert output_nodes(server, prompt) <= set(outputs)
    found = [picture for entry in outputs.values() if "images" in entry for picture in pictures(server, entry)]
    assert found and all(picture.ndim == 3 and picture.std() > 0 for picture in found)
    assert all(text for entry in outputs.values() for text in entry.get("text", ()))


HALF = "--fp16-intermediates"


@pytest.fixture(scope="module")
def half_server(comfyui: Path, start_server: StartServer) -> Iterator[Server]:
    """One whose nodes hand pictures and masks on in float16."""
    if HALF not in (comfyui / "comfy/cli_args.py").read_text(encoding="utf-8"):
        pytest.skip(f"this ComfyUI has no {HALF}")
    with start_server(options=(HALF,)) as running:
        yield running


@pytest.mark.parametrize("name", ["step_by_step", "degrade_and_compare", "loop"])
def test_pictures_may_come_in_half_precision(half_server, server, workflow, name):
    prompt = workflow(name, **QUICK)
    outputs = [running.run(prompt) for running in (server, half_server)]
    for node in (number for number, node in prompt.items() if node["class_type"] == "SaveImage"):
        shown = [pictures(running, done[node]) for running, done in zip((server, half_server), outputs, strict=True)]
        assert all(np.abs(one.astype(int) - other).mean() < 2 for one, other in zip(*shown, strict=True))


class TestEarlierReleases:
    """Inputs that were renamed since: a prompt with their old names gives what one with the new names gives."""

    def test_a_reference(self, server, workflow):
        texts = []
        for name in ("reference", "truth"):
            prompt = workflow("degrade_and_compare", **QUICK)
            inputs = prompt[number_of(prompt, "AutoDIRCompare")]["inputs"]
            inputs[name] = inputs.pop("reference")
            texts += server.run(prompt)[number_of(prompt, "PreviewAny", "Measured")]["text"]
        assert texts[0] == texts[1] and texts[0].startswith("before: PSNR")

    def test_a_confidence_that_nothing_reaches(self, server, workflow):
        prompt = workflow("restore", **QUICK)
        prompt[number_of(prompt, "AutoDIRRestore")]["inputs"] |= {"threshold": 1.0, "view": "centre"}
        (report,) = server.run(prompt)[number_of(prompt, "PreviewAny")]["text"]
        assert report.startswith("done: low confidence (")

    def test_a_label_that_is_excluded(self, server, workflow):
        prompt = workflow("step_by_step")
        inputs = prompt[number_of(prompt, "AutoDIRBlend")]["inputs"]
        del inputs["exclude_labels"]
        inputs["excluded"] = "snow"
        assert "unknown label 'snow'" in error_of(server.result(server.queue(prompt)))

    def test_an_unknown_choice_is_still_refused(self, server, workflow):
        prompt = workflow("restore")
        prompt[number_of(prompt, "AutoDIRRestore")]["inputs"]["view"] = "everything"
        with pytest.raises(AssertionError, match="crops: 'everything' not in"):
            server.queue(prompt)


@pytest.mark.parametrize("name", ["sample", "dark", "clean"])
def test_an_example_picture_is_copied_when_a_prompt_names_it(server, name):
    path = server.base / f"input/autodir_{name}.png"
    path.unlink(missing_ok=True)
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": path.name}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    assert server.run(prompt)["2"]["images"] and path.is_file()


def test_half_the_weight_is_half_of_each(server, workflow):
    prompt = workflow("low_light", **QUICK)
    outputs = server.run(prompt)
    none, half, full = (saved(server, outputs, prompt, f"Weight {weight}") for weight in ("0:", "0.5:", "1:"))
    inside = (np.minimum(none, full) > 0) & (np.maximum(none, full) < 255)
    assert inside.mean() > 0.2 and (none != full).mean() > 0.5
    assert np.abs(half - (none + full) / 2)[inside].max() <= 1.5


def test_custom_prompt_change_their_own_picture_only(server, workflow):
    first, second = (workflow("custom_prompt", **QUICK, text=text) for text in ("remove the rain", "make it dark"))
    before, after = server.run(first), server.run(second)
    for title, same in (("Automatic", True), ("By a custom prompt", False)):
        pair = [saved(server, outputs, first, title) for outputs in (before, after)]
        assert np.array_equal(*pair) == same, title


def test_the_preview_in_the_loop_shows_every_round(server, workflow):
    prompt = workflow("loop", **QUICK, seed=9, max_rounds=3)
    told = [event["data"] for event in heard(server, prompt) if event["type"] == "executed"]

    def of(title: str) -> list[np.ndarray]:
        number = number_of(prompt, "PreviewImage", title)
        found = [pictures(server, data["output"]) for data in told if data["display_node"] == number]
        return [picture for several in found for picture in several]

    rounds, (begin, *after) = of("Every round"), of("Before and after each round")
    assert len(rounds) == len(after) == 3
    assert all(np.array_equal(one, other) for one, other in zip(rounds, after, strict=True))
    assert not any(np.array_equal(begin, picture) for picture in after)


def test_a_batch_is_reported_picture_by_picture(server, workflow):
    prompt = workflow("batch", **QUICK)
    outputs = server.run(prompt)
    assert len(outputs[number_of(prompt, "SaveImage")]["images"]) == 3
    (report,) = outputs[number_of(prompt, "PreviewAny")]["text"]
    assert [line for line in report.splitlines() if line.startswith("picture")] == [f"picture {i}" for i in (1, 2, 3)]


def test_a_batch_may_come_from_a_folder(server, workflow, photo_path):
    """As the note of the workflow says, with the node of ComfyUI's that this version has."""
    offered = server.call("/object_info")
    named = {"Load Image (from Folder)": {}, "Load Image Dataset from Folder": {"resize_method": "None"}}
    [(name, settings)] = [
        (name, named[entry["display_name"]]) for name, entry in offered.items() if entry["display_name"] in named
    ]
    folder = server.base / "input/holiday"
    folder.mkdir(exist_ok=True)
    for file in ("one.png", "two.png"):
        shutil.copy(photo_path, folder / file)
    prompt = workflow("batch", **QUICK)
    prompt["folder"] = {"class_type": name, "inputs": {"folder": "holiday", **settings}}
    prompt[number_of(prompt, "AutoDIRRestore")]["inputs"]["image"] = ["folder", 0]
    assert len(server.run(prompt)[number_of(prompt, "SaveImage")]["images"]) == 2


def test_the_saved_report_is_what_was_measured(server, workflow):
    prompt = workflow("degrade_and_compare", **QUICK)
    outputs = server.run(prompt)
    (shown,) = outputs[number_of(prompt, "PreviewAny", "Measured")]["text"]
    (path,) = outputs[number_of(prompt, "AutoDIRSaveReport")]["text"]
    assert Path(path).read_text(encoding="utf-8") == f"{shown}\n"
    assert [line.split()[:2] for line in shown.splitlines()] == [["before:", "PSNR"], ["after:", "PSNR"]]


def test_a_repaired_picture_is_nearer_to_the_reference(server, workflow):
    """On the embedded model and its own picture, in few steps: noise goes first, darkness in the second round."""
    prompt = workflow("degrade_and_compare", file="autodir-mini (embedded)", steps=4, max_rounds=3)
    prompt[number_of(prompt, "LoadImage")]["inputs"]["image"] = "autodir_clean.png"
    (report,) = server.run(prompt)[number_of(prompt, "PreviewAny", "Measured")]["text"]
    before, after = (float(line.split()[2]) for line in report.splitlines())
    assert after > before
