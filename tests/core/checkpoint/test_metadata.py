"""The metadata of a weights file comes from strangers: it fits, or one clear error says what does not."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from safetensors.torch import load_file, save_file

import autodir_core as ad
from autodir_core.checkpoint.metadata import ModelMetadata
from autodir_core.cli import main

HEADS = {"unet_heads": 4, "text_heads": 4, "vision_heads": 4}
JSON_VALUES = {
    "null": None,
    "true": True,
    "zero": 0,
    "negative": -1,
    "huge": 10**400,
    "fraction": 0.5,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "text": "no",
    "empty text": "",
    "empty list": [],
    "list of numbers": [1],
    "list of texts": ["a"],
    "nested list": [["a"]],
    "empty table": {},
    "table of texts": {"haze": "big"},
    "table of lists": {"haze": [1]},
    "table of numbers": {"haze": 0.5},
}
USABLE = {
    **{key: set() for key in ("unet_heads", "text_heads", "vision_heads", "norm_groups")},
    "latent_scale": {"fraction"},
    "labels": {"list of texts"},
    "scm_weight": {"empty table", "table of numbers"},
    "gate": {"empty table"},
    **{key: {"text", "empty text"} for key in ("name", "provenance", "licence")},
}


@pytest.fixture(scope="module")
def write(tiny_path, tmp_path_factory):
    """Writes the tiny model with a text as its metadata."""
    state, folder = load_file(tiny_path), tmp_path_factory.mktemp("metadata")

    def write(text: str):
        save_file(state, folder / "model.safetensors", metadata={"autodir": text})
        return folder / "model.safetensors"

    return write


def refusal(path) -> str:
    """The one line that both doors give."""
    seen = ad.inspect(path)
    assert seen.problem is not None and seen.guess != "an AutoDIR model"
    with pytest.raises(ad.CheckpointError) as caught:
        ad.load_autodir(path, device="cpu")
    assert str(caught.value) == seen.problem and len(seen.problem.splitlines()) == 1 and len(seen.problem) < 500
    return seen.problem


def test_every_field_is_listed():
    assert set(USABLE) == {field.name for field in fields(ModelMetadata)}


@pytest.mark.parametrize("case", JSON_VALUES)
@pytest.mark.parametrize("name", USABLE)
def test_a_field_takes_what_it_can_use_and_nothing_else(write, name, case):
    path = write(json.dumps({**HEADS, name: JSON_VALUES[case]}))
    if case in USABLE[name]:
        assert ad.inspect(path).problem is None
    else:
        assert name.removesuffix("s") in refusal(path)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"min_edges": 2}, "min_edges of the gate must be in -1..1"),
        ({"max_strength": 1.5}, "max_strength of the gate must be in 0..1"),
        ({"least": 1}, "unknown key 'gate.haze.least'"),
    ],
)
def test_thresholds_of_the_gate_are_checked(write, values, problem):
    assert problem in refusal(write(json.dumps({**HEADS, "gate": {"haze": values}})))


def test_thresholds_of_the_gate_are_read(write):
    path = write(json.dumps({**HEADS, "gate": {"haze": {"min_edges": 0.25}}}))
    assert ad.load_autodir(path, device="cpu").metadata.gate["haze"].min_edges == 0.25


@pytest.mark.parametrize("text", ["[]", "5", "null", "true", '"no"', "NaN", "", "{not json", "[" * 100_000, "9" * 5000])
def test_what_is_no_json_object_is_refused(write, text):
    assert "metadata entry 'autodir' of the file is not usable" in refusal(write(text))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": ["haze", "haze", "no"]}, "labels must differ, 'haze' is there twice"),
        ({"labels": ["haze", ""]}, "a label is a text"),
        ({"labels": ["haze", " no"]}, "a label is a text"),
        ({"labels": ["haze,no"]}, "a label is a text without commas"),
        ({"labels": ["haze\x1b[2J"]}, "a label is a text"),
        ({"labels": ["haze", None]}, r"'labels[1]' must be a text, got None"),
        ({"scm_weight": {"haze": -1}}, "scm_weight of 'haze' must be in 0..2, got -1"),
        ({"scm_weight": {"haze": 1e9}}, "scm_weight of 'haze' must be in 0..2"),
        ({"scm_weight": {"haze": float("nan")}}, "scm_weight of 'haze' must be in 0..2"),
        ({"latent_scale": 1e300}, "latent_scale must be in 0.0001..10000"),
        ({"norm_groups": 7}, "norm_groups = 7 does not divide a width of"),
        ({"unet_heads": 1024}, "unet_heads = 1024 does not divide a width of"),
        ({"heads": 1}, "unknown key 'heads'; the nearest known one is"),
    ],
)
def test_errors_say_what_does_not_fit(write, values, message):
    assert message in refusal(write(json.dumps(HEADS | values)))


def test_the_command_reports_it_in_one_line(write, capsys):
    assert main(["inspect", str(write('{"labels": "no"}'))]) == 1
    shown = capsys.readouterr()
    assert "problem" in shown.out and "'labels' must be a list, got 'no'" in shown.out and shown.err == ""


def test_labels_without_no_and_in_other_languages_are_a_models_own_affair(write):
    labels = ["haze", "flou", "噪声"]
    assert ad.load_autodir(write(json.dumps({**HEADS, "labels": labels})), device="cpu").labels == tuple(labels)


def test_a_header_and_back():
    metadata = replace(ModelMetadata(), labels=("haze", "no"), scm_weight={"haze": 0.25}, name="näme")
    assert ModelMetadata.from_header(metadata.to_header()) == metadata
    assert ModelMetadata.from_header({}) == ModelMetadata()
