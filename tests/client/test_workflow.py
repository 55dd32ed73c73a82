"""Workflow files: reading, settings, and the inputs that take photos."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from autodir_client import Workflow, apply_settings, read_workflow
from autodir_client.check import missing_requirements
from autodir_client.workflow import find_file_input
from autodir_core import InputError
from tests.client.helpers.fake import DEFINITIONS, PAGE, WORKFLOW, graph


class TestRead:
    def test_formats(self, tmp_path):
        path = tmp_path / "flow.json"
        for content, is_graph in ((WORKFLOW, False), ({"prompt": WORKFLOW, "client_id": "x"}, False), (graph(), True)):
            path.write_text(json.dumps(content))
            workflow = read_workflow(path)
            assert (workflow.name, workflow.is_graph) == ("flow", is_graph)
        path.write_text(json.dumps(WORKFLOW))
        assert read_workflow(path).prompt(DEFINITIONS) == WORKFLOW

    @pytest.mark.parametrize(
        ("text", "message"),
        [("{", "is no JSON"), ("[1]", "neither nodes nor class types"), ('{"a": 1}', "neither"), ("{}", "neither")],
    )
    def test_what_is_no_workflow(self, tmp_path, text, message):
        path = tmp_path / "flow.json"
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_workflow(path)

    def test_no_file(self, tmp_path):
        with pytest.raises(InputError, match="does not exist"):
            read_workflow(tmp_path / "none.json")


class TestSettings:
    @pytest.mark.parametrize(
        ("target", "text", "name", "value"),
        [
            ("2.steps", "7", "steps", 7),
            ("Restore.strength", "0.5", "strength", 0.5),
            ("Restore.sharp", "Yes", "sharp", True),
            ("Restore.file", "large.ckpt", "file", "large.ckpt"),
            ("Restore.words", "1=2", "words", "1=2"),
            ("Restore.image", "gone", "image", "gone"),
            ("2.steps", 8, "steps", 8),
        ],
    )
    def test_are_typed_by_the_definition(self, target, text, name, value):
        changed = apply_settings(WORKFLOW, {target: text}, DEFINITIONS)["2"]["inputs"][name]
        assert changed == value and type(changed) is type(value)
        assert WORKFLOW["2"]["inputs"] == {"image": ["1", 0], "steps": 3}

    def test_a_choice_keeps_its_own_type(self):
        definitions = {"X": {"input": {"required": {"size": [[256, 512], {}]}}, "output": []}}
        prompt = {"1": {"class_type": "X", "inputs": {"size": 256}}}
        assert apply_settings(prompt, {"X.size": "512"}, definitions)["1"]["inputs"]["size"] == 512

    def test_titles_may_hold_dots_and_come_before_types(self):
        prompt = deepcopy(PAGE["prompt"])
        changed = apply_settings(prompt, {"Grain: a.b.strength": "0.75"}, PAGE["definitions"])
        assert changed["5"]["inputs"]["strength"] == 0.75
        prompt["14"]["_meta"]["title"] = "Final"
        changed = apply_settings(prompt, {"Final.filename_prefix": "x"}, PAGE["definitions"])
        assert changed["14"]["inputs"]["filename_prefix"] == "x"

    @pytest.mark.parametrize(
        ("target", "value", "message"),
        [
            (
                "9.steps",
                "1",
                r"names no node of the workflow; write NODE.input with one of: 1 \(Photo\), 2 \(Restore\)",
            ),
            ("Restore.stps", "1", r"node 2 \(Restore\) has no such input; it has: file, image, sharp, steps, strength"),
            ("2.steps", "1.5", "2.steps takes a whole number, got '1.5'"),
            ("2.strength", "high", "takes a number, got 'high'"),
            ("2.sharp", "2", "takes true or false, got '2'"),
        ],
    )
    def test_mistakes(self, target, value, message):
        with pytest.raises(InputError, match=message):
            apply_settings(WORKFLOW, {target: value}, DEFINITIONS)

    def test_two_nodes_of_a_type_need_the_id(self):
        prompt = {**WORKFLOW, "4": deepcopy(WORKFLOW["2"])}
        with pytest.raises(InputError, match=r"several nodes: 2 \(Restore\), 4 \(Restore\); write the id instead"):
            apply_settings(prompt, {"Restore.steps": "5"}, DEFINITIONS)


class TestFormerNames:
    """What a pack renamed, as its definitions tell: workflows and settings of earlier releases mean the same."""

    DEFINITIONS = {
        "X": {
            "input": {
                "required": {"exclude": ["STRING", {"old_names": ["excluded"]}]},
                "optional": {
                    "crops": [["center", "grid"], {"old_names": ["view"], "old_values": {"centre": "center"}}],
                    "confidence": ["FLOAT", {"default": 0.0, "old_names": ["threshold"]}],
                },
            },
            "output": [],
        }
    }
    NEW = {"exclude": "haze", "crops": "center", "confidence": 0.5}

    def test_in_api_format(self):
        old = {"1": {"class_type": "X", "inputs": {"excluded": "haze", "view": "centre", "threshold": 0.5}}}
        prompt = Workflow("old", old).prompt(self.DEFINITIONS)
        assert prompt["1"]["inputs"] == self.NEW
        assert missing_requirements(prompt, self.DEFINITIONS, "0.3.64") == []

    def test_as_saved_by_the_page(self):
        saved = graph({"type": "X", "widgets_values": ["haze", "centre", 0.5]})
        assert Workflow("old", saved).prompt(self.DEFINITIONS)["1"]["inputs"] == self.NEW

    def test_a_link_under_the_former_name(self):
        socket = {"name": "threshold", "type": "FLOAT", "link": 1, "widget": {"name": "threshold"}}
        nodes = {"type": "X", "inputs": [socket], "widgets_values": ["haze", "grid", 0]}, {"type": "Y"}
        links = ((1, 2, 0, 1, 0, "FLOAT"),)
        prompt = Workflow("old", graph(*nodes, links=links)).prompt(self.DEFINITIONS)
        assert prompt["1"]["inputs"]["confidence"] == ["2", 0]

    def test_in_settings(self):
        prompt = {"1": {"class_type": "X", "inputs": {"exclude": ""}}}
        settings = {"X.excluded": "haze", "X.view": "centre", "1.threshold": "0.5"}
        assert apply_settings(prompt, settings, self.DEFINITIONS)["1"]["inputs"] == self.NEW


class TestFileInputs:
    @pytest.mark.parametrize("name", ["image", "1", "Photo", "LoadImage", "1.image", "Photo.image"])
    def test_names(self, name):
        assert find_file_input(WORKFLOW, name, DEFINITIONS) == ("1", "image")

    def test_mistakes(self):
        with pytest.raises(InputError, match=r"as 'mask'; inputs of this workflow that take files: 1 \(Photo\) image"):
            find_file_input(WORKFLOW, "mask", DEFINITIONS)
        prompt = {**WORKFLOW, "7": {"class_type": "LoadImage", "inputs": {"image": "b.png"}}}
        assert find_file_input(prompt, "7", DEFINITIONS) == ("7", "image")
        with pytest.raises(InputError, match=r"several nodes: 1 \(Photo\), 7 \(LoadImage\)"):
            find_file_input(prompt, "image", DEFINITIONS)
