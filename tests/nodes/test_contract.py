"""What a server tells about our nodes is a promise to shared workflows: a change to it must be deliberate.

`contract.json` holds it without the texts. After a change that is meant, rewrite it with
`python -m pytest tests/nodes/test_contract.py --renew-contract` and say in CHANGELOG.md what changed.
"""

from __future__ import annotations

import json
from pathlib import Path

CONTRACT = Path(__file__).with_name("contract.json")
TEXTS = {"tooltip", "placeholder"}


def promised(node) -> dict:
    """Inputs with their order, types, ranges and defaults, and outputs, as /object_info gives them."""
    return {
        "inputs": {
            group: {name: [kind, *options(rest)] for name, (kind, *rest) in members.items()}
            for group, members in node.INPUT_TYPES().items()
            if group != "hidden"
        },
        "outputs": list(node.RETURN_TYPES),
        "output_names": list(getattr(node, "RETURN_NAMES", node.RETURN_TYPES)),
        "output_node": getattr(node, "OUTPUT_NODE", False),
        "category": node.CATEGORY,
    }


def options(rest) -> list[dict]:
    """An input's options without the texts, which may change at any time."""
    return [{key: value for key, value in each.items() if key not in TEXTS} for each in rest]


def test_the_promises_are_kept(pack, request):
    found = {name: promised(node) for name, node in sorted(pack.NODE_CLASS_MAPPINGS.items())}
    found = json.loads(json.dumps(found))
    if request.config.getoption("--renew-contract"):
        CONTRACT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    kept = json.loads(CONTRACT.read_text(encoding="utf-8"))
    assert found == kept, "shared workflows rely on this; see the head of this file if the change is meant"
    orders = [list(group) for node in found.values() for group in node["inputs"].values()]
    assert orders == [list(group) for node in kept.values() for group in node["inputs"].values()]
