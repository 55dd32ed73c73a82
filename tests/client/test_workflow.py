"""Workflow files: the page's own conversion, settings, photos, and what a server lacks."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest

from autodir_client import Workflow, apply_settings, read_workflow
from autodir_client.check import missing_requirements
from autodir_client.convert import to_prompt
from autodir_client.definitions import parse_input, parse_inputs
from autodir_client.jobs import plan_jobs
from autodir_client.workflow import find_file_input
from autodir_core import InputError
from tests.client.fake import DEFINITIONS, WORKFLOW

PAGE = json.loads((Path(__file__).parent / "page.json").read_text(encoding="utf-8"))
"""A graph with every kind of node that vanishes, as the page of ComfyUI 0.3.64 saved it, and the prompt it made."""


def graph(*nodes: dict, links: tuple = ()) -> dict:
    """A saved graph; what a node does not tell is empty."""
    empty = {"mode": 0, "inputs": [], "outputs": [], "properties": {}}
    return {"nodes": [{**empty, "id": number, **node} for number, node in enumerate(nodes, 1)], "links": list(links)}


def plain(prompt: dict) -> dict:
    """Without titles, which the page translates."""
    return {number: (node["class_type"], node["inputs"]) for number, node in prompt.items()}


class TestConvert:
    def test_it_does_what_the_page_does(self):
        types = {node["type"] for node in PAGE["graph"]["nodes"]}
        assert types >= {"Reroute", "PrimitiveNode", "Note", "LoadImageMask"}
        assert {node["mode"] for node in PAGE["graph"]["nodes"]} == {0, 2, 4}
        assert plain(to_prompt(PAGE["graph"], PAGE["definitions"])) == plain(PAGE["prompt"])

    def test_titles(self):
        made = to_prompt(PAGE["graph"], PAGE["definitions"])
        assert (made["5"]["_meta"], made["1"]["_meta"]) == ({"title": "Grain: a.b"}, {"title": "Load Image"})

    def test_values_of_control_after_generate_are_skipped(self):
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

    def test_values_by_name_lists_and_a_packs_own_widget(self):
        spec = {"rate": ["INT", {}], "many": ["PICKER"], "only": ["INT", {"forceInput": True}], "image": ["IMAGE"]}
        definitions = {"X": {"input": {"required": spec}, "output": ["IMAGE"]}}
        saved = {"type": "X", "widgets_values": {"rate": 8, "many": [1, 2], "videopreview": {}}}
        expected = {"rate": 8, "many": {"__value__": [1, 2]}}
        assert to_prompt(graph(saved), definitions)["1"]["inputs"] == expected
        saved["widgets_values"] = [8, [1, 2]]
        assert to_prompt(graph(saved), definitions)["1"]["inputs"] == expected

    def test_links_as_objects(self):
        link = {"id": 3, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0, "type": "IMAGE"}
        load = {"type": "LoadImage", "widgets_values": ["a.png", "image"]}
        restore = {"type": "Restore", "inputs": [{"name": "image", "type": "IMAGE", "link": 3}], "widgets_values": [7]}
        made = to_prompt(graph(load, restore, links=(link,)), DEFINITIONS)
        assert made["1"]["inputs"] == {"image": "a.png"}
        assert made["2"]["inputs"] == {"image": ["1", 0], "steps": 7, "file": "small.ckpt", "strength": 1.0}

    @pytest.mark.parametrize("name", ["sub-1", "workflow>Mine"])
    def test_subgraphs_are_refused(self, name):
        whole = {**graph({"type": name, "title": "Both"}), "definitions": {"subgraphs": [{"id": "sub-1"}]}}
        with pytest.raises(InputError, match=r"node 1 \(Both\) is a subgraph.*export the workflow in API format"):
            to_prompt(whole, {})

    def test_inputs_that_change_are_refused(self):
        definitions = {"X": {"input": {"required": {"all": ["COMFY_AUTOGROW_V3", {}]}}, "output": []}}
        with pytest.raises(InputError, match=r"node 1 \(X\) has inputs that change with its values"):
            to_prompt(graph({"type": "X"}), definitions)

    def test_a_circle_of_reroutes_is_refused(self):
        def reroute(link: int) -> dict:
            return {"type": "Reroute", "inputs": [{"name": "", "type": "*", "link": link}]}

        save = {"type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]}
        links = ([1, 2, 0, 1, 0, "*"], [2, 3, 0, 2, 0, "*"], [3, 2, 0, 3, 0, "*"])
        with pytest.raises(InputError, match="run in a circle"):
            to_prompt(graph(save, reroute(2), reroute(3), links=links), DEFINITIONS)


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


class TestLacks:
    def lines(self, prompt=WORKFLOW, definitions=DEFINITIONS, version="0.3.64", **changes) -> list[str]:
        prompt = deepcopy(prompt)
        prompt["2"]["inputs"].update(changes)
        return missing_requirements(prompt, definitions, version)

    def test_nothing(self):
        assert self.lines() == []
        assert missing_requirements(PAGE["prompt"], PAGE["definitions"], "0.4") == [
            "node 7 (Image Blend): the required input 'image2' is neither linked nor set"
        ]

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"file": "huge.ckpt"}, "file = 'huge.ckpt' is not on the server; it has: small.ckpt, large.ckpt"),
            ({"steps": 0}, "steps = 0 lies outside 1..100"),
            ({"steps": "euler"}, "steps = 'euler' is no number (saved with another version of the pack?)"),
            ({"speed": 3}, "the input 'speed' is unknown to the server (another version of the pack?)"),
            ({"image": ["9", 0]}, "image is linked to node 9, which the workflow does not have"),
            ({"image": ["1", 2]}, "image is linked to output 2 of node 1 (Photo), which has fewer"),
        ],
    )
    def test_values(self, changes, line):
        assert self.lines(**changes) == [f"node 2 (Restore): {line}"]

    def test_a_photo_in_a_folder_of_the_server_is_not_listed(self):
        prompt = deepcopy(WORKFLOW)
        prompt["1"]["inputs"]["image"] = "autodir/a.png"
        assert self.lines(prompt) == []
        prompt["1"]["inputs"]["image"] = "gone.png"
        assert self.lines(prompt) == ["node 1 (Photo): image = 'gone.png' is not on the server; it has: example.png"]

    def test_missing_types_name_their_pack(self):
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
    def test_the_oldest_comfyui(self, version, old):
        assert self.lines(version=version) == [f"ComfyUI {version} is too old: this client needs 0.3.45 or newer"] * old

    def test_an_older_comfyui_is_named_where_something_missing_requirements(self):
        core = {"type": "New", "properties": {"cnr_id": "comfy-core", "ver": "0.3.70"}}
        workflow = Workflow("w", graph(core))
        told = missing_requirements(workflow.prompt({}), {}, "0.3.64", workflow)
        assert told[0] == "ComfyUI 0.3.64 is older than the one that saved the workflow (0.3.70); update it first"
        assert len(missing_requirements(workflow.prompt({}), {}, "0.3.70", workflow)) == 1


class TestDefinitions:
    def test_both_spellings_of_a_list(self):
        old = parse_input("file", [["a", "b"], {"default": "b"}], required=True)
        new = parse_input("file", ["COMBO", {"options": ["a", "b"], "default": "b"}], required=True)
        assert (
            (old.kind, old.choices, old.default) == (new.kind, new.choices, new.default) == ("COMBO", ("a", "b"), "b")
        )
        assert parse_input("file", ["COMBO", {"remote": {}, "options": []}], required=True).choices is None

    def test_order_and_sections(self):
        made = parse_inputs(DEFINITIONS["Restore"])
        assert [one.name for one in made] == ["image", "steps", "file", "strength", "sharp", "words"]
        assert [one.required for one in made] == [True, True, False, False, False, False]


class TestPlan:
    @pytest.fixture
    def files(self, tmp_path):
        for name in ("a.png", "b.png", "b.jpg", "mask.png", "more/c.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(name.encode())
        return tmp_path

    def jobs(self, files, settings=None, out="out", **inputs):
        given = {name: [files / one for one in some] for name, some in inputs.items()}
        return plan_jobs(Workflow("flow", WORKFLOW), given, settings or {}, files / out)

    def test_one_photo_serves_all(self, files):
        made = self.jobs(files, mask=["mask.png"], image=["a.png", "more"])
        assert [job.name for job in made] == ["a", "c"]
        assert [job.photos["mask"].path.name for job in made] == ["mask.png"] * 2
        assert [job.photos["image"].path.name for job in made] == ["a.png", "c.png"]

    def test_without_photos_there_is_one_job(self, files):
        assert [(job.name, job.label) for job in self.jobs(files)] == [("flow", "flow")]

    def test_the_key_tells_works_apart(self, files):
        def key(**options) -> str:
            return self.jobs(files, image=["a.png"], **options)[0].prompt_id(0)

        first = key()
        assert first == key(out="elsewhere") != key(settings={"2.steps": 4})
        (files / "a.png").write_bytes(b"changed")
        assert first != key()

    @pytest.mark.parametrize(
        ("inputs", "out", "message"),
        [
            (
                {"image": ["a.png", "b.png"], "mask": ["a.png", "b.png", "mask.png"]},
                "out",
                "has 2 photos, another has 3",
            ),
            ({"image": ["b.png", "b.jpg"]}, "out", r"b.png and b.jpg would both write b_\*; rename one"),
            ({"image": ["a.png"]}, "", "holds photos to be done; choose another folder"),
            ({"image": ["none.png"]}, "out", "does not exist"),
        ],
    )
    def test_mistakes(self, files, inputs, out, message):
        with pytest.raises(InputError, match=message):
            self.jobs(files, out=out, **inputs)

    def test_upload_names_are_plain_and_follow_the_content(self, files):
        odd = files / "Ünïcode (1) photo.PNG"
        odd.write_bytes(b"x")
        (job,) = self.jobs(files, image=[odd.name])
        assert job.photos["image"].upload_name == "-n-code-1-photo-2d711642b726.png"
