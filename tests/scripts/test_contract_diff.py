"""Which changes of the nodes' contract break what people saved."""

from __future__ import annotations

import copy
import json

import pytest

from scripts import contract_diff

NODE = {
    "inputs": {
        "required": {
            "image": ["IMAGE", {}],
            "method": [["adain", "wavelet"], {"default": "adain"}],
            "seed": ["INT", {"default": 0, "min": 0, "max": 9, "control_after_generate": True}],
        },
        "optional": {"weight": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}], "mask": ["MASK", {}]},
    },
    "outputs": ["IMAGE", "STRING"],
    "output_names": ["image", "report"],
    "output_node": True,
}


def after(change) -> list[str]:
    """What a change, made to a copy of the node's contract, breaks."""
    node = copy.deepcopy(NODE)
    change(node["inputs"]["required"], node["inputs"]["optional"], node)
    return list(contract_diff.broken_promises({"Match": NODE}, {"Match": node}))


def rename(required, optional, node, name="amount"):
    node["inputs"]["optional"] = {name: [*optional["weight"][:1], {**optional["weight"][1], "old_names": ["weight"]}]}
    node["inputs"]["optional"]["mask"] = optional["mask"]


def put_first(required, optional, node):
    node["inputs"]["optional"] = {"new": ["INT", {"default": 0}], **optional}


KEPT = {
    "nothing": lambda required, optional, node: None,
    "an optional input at the end": lambda required, optional, node: optional.update(new=["INT", {"default": 0}]),
    "a renamed input": rename,
    "a choice": lambda required, optional, node: required["method"][0].append("moments"),
    "a wider range": lambda required, optional, node: optional["weight"][1].update(max=2.0),
    "another type too": lambda required, optional, node: optional.update(mask=["MASK,IMAGE", {}]),
    "an output at the end": lambda required, optional, node: (
        node["outputs"].append("MASK"),
        node["output_names"].append("map"),
    ),
    "a renamed choice": lambda required, optional, node: required.update(
        method=[["moments", "wavelet"], {"default": "moments", "old_values": {"adain": "moments"}}]
    ),
}
BROKEN = {
    "weight: the input is gone": lambda required, optional, node: optional.pop("weight"),
    "new: is required and was not": lambda required, optional, node: required.update(new=["IMAGE", {}]),
    "mask: is required and was not": lambda required, optional, node: required.update(mask=optional.pop("mask")),
    "method: took ['adain', 'wavelet'], takes ['adain']": lambda required, optional, node: required["method"][0].pop(),
    "weight: took FLOAT, takes INT": lambda required, optional, node: optional["weight"].__setitem__(0, "INT"),
    "weight: the default was 1.0, is 0.5": lambda required, optional, node: optional["weight"][1].update(default=0.5),
    "weight: max was 1.0, is 0.5": lambda required, optional, node: optional["weight"][1].update(max=0.5),
    "weight: min was 0.0, is 0.5": lambda required, optional, node: optional["weight"][1].update(min=0.5),
    "outputs were ['IMAGE', 'STRING'], are ['IMAGE']": lambda required, optional, node: node["outputs"].pop(),
    "output_names were ['image', 'report'], are ['image', 'text']": lambda required, optional, node: node.update(
        output_names=["image", "text"]
    ),
    "it is no output node any longer": lambda required, optional, node: node.update(output_node=False),
    "saved workflows keep values by their order": put_first,
}


@pytest.mark.parametrize("change", KEPT.values(), ids=KEPT)
def test_what_breaks_nothing(change):
    assert after(change) == []


@pytest.mark.parametrize(("text", "change"), BROKEN.items(), ids=BROKEN)
def test_what_is_broken_is_told(text, change):
    assert any(line.startswith(f"Match: {text}") for line in after(change)), after(change)


def test_a_node_that_is_gone():
    assert list(contract_diff.broken_promises({"Match": NODE}, {})) == ["Match: the node is gone"]


def test_the_command(tmp_path, capsys):
    before, now = tmp_path / "before.json", tmp_path / "now.json"
    before.write_text(json.dumps({"Match": NODE}), encoding="utf-8")
    now.write_text(json.dumps({"Other": NODE}), encoding="utf-8")
    assert contract_diff.main([str(before), str(before)]) == 0
    assert contract_diff.main([str(before), str(now)]) == 1
    assert capsys.readouterr().out.splitlines() == ["all promises of 1 nodes are kept", "Match: the node is gone"]
