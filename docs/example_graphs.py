"""Turn the diagrams of the help pages into graphs that ComfyUI can run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

Prompt = dict[str, dict[str, Any]]
"""A graph in API format: node by id."""

Definitions = dict[str, Any]
"""The node definitions of ComfyUI's `/object_info`, by class."""

LINK = re.compile(r"^(\S.*?) {2,}(\S.*?) +──► (\S.*?) {2,}(\S.*)$", re.M)
"""A line of a help page's example: node, output, input, node."""

SUPPLIERS = {
    "AUTODIR_MODEL": "AutoDIRLoadModel",
    "AUTODIR_ASSESSMENT": "AutoDIRAssess",
    "CONDITIONING": "AutoDIRPrompt",
    "LATENT": "AutoDIRSample",
    "IMAGE": "LoadImage",
    "generated": "AutoDIRDecode",
}
"""Class of the node whose first output fills a required input that an example leaves open, by the input's type or
name."""

SAMPLE, CLEAN = "autodir_sample.png", "autodir_clean.png"
USES_CLEAN = {"AutoDIRColorMatch", "AutoDIRCompare", "AutoDIRDegrade"}
"""Help pages whose Load Image shows a clean picture, to degrade or to take colors from."""

FIRST_HELPER_ID = 100
"""Id of the first node that is only needed to run an example."""

STEPS = 20


def parse_example(folder: Path, definitions: Definitions) -> Prompt:
    """Return the graph of the diagram on a node's help page."""
    links = LINK.findall((folder / "en.md").read_text(encoding="utf-8"))
    titles = dict.fromkeys(title for source, _, _, target in links for title in (source, target))
    classes = {title: find_class(title, definitions) for title in titles}
    ids = {title: str(number) for number, title in enumerate(titles, start=1)}
    image = CLEAN if folder.name in USES_CLEAN else SAMPLE
    prompt = {ids[title]: make_node(classes[title], definitions, image) for title in titles}
    for source, output, target_input, target in links:
        index = definitions[classes[source]]["output_name"].index(output)
        prompt[ids[target]]["inputs"][target_input] = [ids[source], index]
    return prompt


def find_class(title: str, definitions: Definitions) -> str:
    """Return the class of a node by its title; a remark in parentheses may follow either."""
    by_title = {entry["display_name"] or name: name for name, entry in definitions.items()}
    return by_title.get(title) or next(by_title[shown] for shown in by_title if bare(shown) == bare(title))


def bare(title: str) -> str:
    """Return a title without its remark in parentheses."""
    return title.partition(" (")[0]


def make_node(class_type: str, definitions: Definitions, image: str = SAMPLE) -> dict[str, Any]:
    """Return a node with its defaults, but with few steps, a fixed seed, and KSampler as its help page says."""
    changes: dict[str, dict[str, Any]] = {"steps": {"steps": STEPS}, "seed": {"control_after_generate": "fixed"}}
    changes |= {"cfg": {"cfg": 1.0}, "scheduler": {"scheduler": "normal"}}
    if class_type == "LoadImage":
        changes = {"image": {"image": image}}
    inputs: dict[str, Any] = {}
    for name in definitions[class_type]["input"].get("required", {}):
        inputs |= changes.get(name, {})
    return {"class_type": class_type, "inputs": inputs}


def complete_example(example: Prompt, definitions: Definitions) -> Prompt:
    """Return the graph with helper nodes that fill its open inputs and consume its unused outputs."""
    prompt = {number: {**node, "inputs": dict(node["inputs"])} for number, node in example.items()}

    def add_helper(node: dict[str, Any]) -> str:
        number = str(FIRST_HELPER_ID + len(prompt))
        prompt[number] = node
        return number

    for number in unused_nodes(example):
        if not definitions[example[number]["class_type"]]["output_node"]:
            add_helper({"class_type": "PreviewAny", "inputs": {"source": [number, 0]}})
    degrades = any(node["class_type"] == "AutoDIRDegrade" for node in example.values())
    pending = list(example)
    while pending:
        node = prompt[pending.pop()]
        for name in open_inputs(node, definitions):
            pending.append(add_helper(make_supplier(node["class_type"], name, degrades, definitions)))
            node["inputs"][name] = [pending[-1], 0]
    return prompt


def source_ids(node: dict[str, Any]) -> list[str]:
    """Return the ids of the nodes that a node takes inputs from."""
    return [value[0] for value in node["inputs"].values() if isinstance(value, list)]


def unused_nodes(prompt: Prompt) -> list[str]:
    """Return the ids of the nodes whose outputs are not linked."""
    used = {source for node in prompt.values() for source in source_ids(node)}
    return [number for number in prompt if number not in used]


def open_inputs(node: dict[str, Any], definitions: Definitions) -> list[str]:
    """Return the required inputs that need a helper."""
    required = definitions[node["class_type"]]["input"]["required"]
    return [name for name, kind in required.items() if name not in node["inputs"] and str(kind[0]) in SUPPLIERS]


def make_supplier(class_type: str, name: str, degrades: bool, definitions: Definitions) -> dict[str, Any]:
    """Return the helper of an input; in an example that degrades a picture, all other nodes take the degraded one."""
    wanted = definitions[class_type]["input"]["required"][name][0]
    if degrades and wanted == "IMAGE":
        return make_node("LoadImage" if class_type == "AutoDIRDegrade" else "AutoDIRDegrade", definitions, CLEAN)
    return make_node(SUPPLIERS.get(name) or SUPPLIERS[wanted], definitions)


def layout_columns(prompt: Prompt) -> list[list[int]]:
    """Return the ids by column: each node right of its sources, one without sources directly left of its targets."""

    def depth(number: str) -> int:
        return 1 + max(map(depth, source_ids(prompt[number])), default=-1)

    def column(number: str) -> int:
        targets = [depth(other) for other, node in prompt.items() if number in source_ids(node)]
        return depth(number) if source_ids(prompt[number]) or not targets else min(targets) - 1

    by_id = {number: column(number) for number in prompt}
    columns = [[int(number) for number in prompt if by_id[number] == place] for place in range(max(by_id.values()) + 1)]
    return [ids for ids in columns if ids]
