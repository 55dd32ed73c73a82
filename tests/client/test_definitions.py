"""Node types as servers describe them."""

from __future__ import annotations

from autodir_client.definitions import parse_input, parse_inputs
from tests.client.helpers.fake import DEFINITIONS


def test_both_spellings_of_a_list():
    old = parse_input("file", [["a", "b"], {"default": "b"}], required=True)
    new = parse_input("file", ["COMBO", {"options": ["a", "b"], "default": "b"}], required=True)
    assert (old.kind, old.choices, old.default) == (new.kind, new.choices, new.default) == ("COMBO", ("a", "b"), "b")
    assert parse_input("file", ["COMBO", {"remote": {}, "options": []}], required=True).choices is None


def test_order_and_sections():
    made = parse_inputs(DEFINITIONS["Restore"])
    assert [one.name for one in made] == ["image", "steps", "file", "strength", "sharp", "words"]
    assert [one.required for one in made] == [True, True, False, False, False, False]
