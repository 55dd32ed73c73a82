"""The tools on a real ComfyUI: degrade, restore, compare and save; ComfyUI's own conditioning nodes in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.host.conftest import pixels
from tests.host.server import error_of

pytestmark = pytest.mark.host

SAMPLE = {"steps": 2, "sampler": "euler_ancestral", "text_guidance": 2.0, "image_guidance": 1.0, "seed": 5}
RESTORE = {"steps": 1, "seed": 5, "max_rounds": 1, "text_guidance": 1.0, "image_guidance": 1.0}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


@pytest.fixture
def tools() -> dict[str, Any]:
    """A clean picture is degraded twice, restored, matched in color, and compared with the clean one."""
    return {
        "model": node("AutoDIRLoadModel", file="tiny.safetensors", precision="float32"),
        "photo": node("LoadImage", image="small.png"),
        "haze": node(
            "AutoDIRDegrade", image=["photo", 0], degradation="haze", severity=0.6, seed=1, depth=["photo", 1]
        ),
        "noise": node("AutoDIRDegrade", image=["haze", 0], degradation="noise", severity=0.5, seed=1),
        "restored": node(
            "AutoDIRRestore", model=["model", 0], image=["noise", 0], prompt="", scm_weight=-1.0, **RESTORE
        ),
        "matched": node("AutoDIRColorMatch", image=["restored", 0], reference=["noise", 0], method="wavelet"),
        "compared": node(
            "AutoDIRCompare", before=["noise", 0], after=["matched", 0], position=0.5, reference=["photo", 0]
        ),
        "saved": node("AutoDIRSaveReport", filename_prefix="autodir/report", format="txt", report=["compared", 3]),
        "image": node("SaveImage", images=["noise", 0], filename_prefix="noise"),
    }


def test_degrade_restore_compare_and_save(server, tools):
    outputs = server.run(tools)
    path = Path(outputs["saved"]["text"][0])
    report = outputs["compared"]["text"][0]
    assert path.parent == server.base / "output/autodir" and path.read_text(encoding="utf-8") == f"{report}\n"
    assert [line.split(":")[0] for line in report.splitlines()] == ["before", "after"]
    (shown,) = outputs["compared"]["images"]
    assert shown["type"] == "temp" and pixels(server.file(shown)).shape[0] > 50
    noisy, clean = (
        pixels(file) for file in (server.file(outputs["image"]["images"][0]), server.base / "input/small.png")
    )
    assert noisy.shape == clean.shape == (50, 72, 3) and not np.array_equal(noisy, clean)


def test_every_report_has_a_number_of_its_own(server, tools):
    paths = []
    for words in ("one", "two"):
        prompt = {
            "words": node("PrimitiveStringMultiline", value=words),
            "saved": node("AutoDIRSaveReport", filename_prefix="own/name", format="txt", report=["words", 0]),
        }
        paths.append(Path(server.run(prompt)["saved"]["text"][0]))
    assert [path.name for path in paths] == ["name_00001_.txt", "name_00002_.txt"]
    assert [path.read_text(encoding="utf-8") for path in paths] == ["one\n", "two\n"]


def test_an_assessment_is_saved_as_json(server, tools):
    prompt = {key: tools[key] for key in ("model", "photo")} | {
        "assessed": node("AutoDIRAssess", model=["model", 0], image=["photo", 0], labels=""),
        "saved": node(
            "AutoDIRSaveReport",
            filename_prefix="autodir/found",
            format="json",
            report=["assessed", 2],
            assessment=["assessed", 0],
        ),
    }
    outputs = server.run(prompt)
    record = json.loads(Path(outputs["saved"]["text"][0]).read_text(encoding="utf-8"))
    (picture,) = record["pictures"]
    assert sum(picture["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert list(picture["probabilities"]) == [line.rsplit(maxsplit=2)[0] for line in record["report"]]
    assert picture["label"] == next(iter(picture["probabilities"])) and len(record["labels"]) == 8


@pytest.mark.parametrize("place", ["../outside", "/tmp/outside"])
def test_nothing_is_saved_outside_the_output_folder(server, place):
    prompt = {
        "words": node("PrimitiveStringMultiline", value="words"),
        "saved": node("AutoDIRSaveReport", filename_prefix=place, format="txt", report=["words", 0]),
    }
    assert "must stay in the output folder" in error_of(server.result(server.queue(prompt)))


class TestConditioning:
    """ComfyUI's own nodes between AutoDIR Prompt and AutoDIR Sample."""

    @pytest.fixture
    def drawn(self, server, tools):
        """The picture that a node of two conditions leads to; `inputs` take the first and the second condition."""

        def draw(class_type: str, first: str, second: str, **settings: Any) -> np.ndarray:
            prompt = {key: tools[key] for key in ("model", "photo")} | {
                "fog": node("AutoDIRPrompt", model=["model", 0], text="remove the fog"),
                "rain": node("AutoDIRPrompt", model=["model", 0], text="remove the rain, it is everywhere"),
                "joined": node(class_type, **{first: ["fog", 0], second: ["rain", 0]}, **settings),
                "latent": node(
                    "AutoDIRSample", model=["model", 0], image=["photo", 0], conditioning=["joined", 0], **SAMPLE
                ),
                "decoded": node("AutoDIRDecode", model=["model", 0], latent=["latent", 0]),
                "image": node("SaveImage", images=["decoded", 0], filename_prefix="drawn"),
            }
            (image,) = server.run(prompt)["image"]["images"]
            return pixels(server.file(image)).astype(int)

        return draw

    def test_average_is_our_mix(self, drawn):
        ours = drawn("AutoDIRMix", "conditioning_a", "conditioning_b", weight=0.25)
        core = drawn("ConditioningAverage", "conditioning_to", "conditioning_from", conditioning_to_strength=0.75)
        other = drawn("AutoDIRMix", "conditioning_a", "conditioning_b", weight=1.0)
        assert np.abs(ours - core).max() <= 1
        assert not np.array_equal(ours, other)

    def test_concat_runs_with_guidance(self, drawn):
        joined = drawn("ConditioningConcat", "conditioning_to", "conditioning_from")
        alone = drawn("AutoDIRMix", "conditioning_a", "conditioning_b", weight=0.0)
        assert joined.shape == (50, 72, 3) and not np.array_equal(joined, alone)

    def test_combine_is_explained(self, server, tools):
        prompt = {key: tools[key] for key in ("model", "photo")} | {
            "fog": node("AutoDIRPrompt", model=["model", 0], text="remove the fog"),
            "both": node("ConditioningCombine", conditioning_1=["fog", 0], conditioning_2=["fog", 0]),
            "latent": node("AutoDIRSample", model=["model", 0], image=["photo", 0], conditioning=["both", 0], **SAMPLE),
            "saved": node("SaveLatent", samples=["latent", 0], filename_prefix="both"),
        }
        explained = error_of(server.result(server.queue(prompt))).strip()
        assert explained.startswith("the conditioning has 2 entries, one is needed; join them with AutoDIR Mix")
