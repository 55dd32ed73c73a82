"""Values from outside become dataclasses or one line that names the key, never anything in between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from autodir_core.errors import InputError
from autodir_core.serialization.typed_reader import read_dataclass


@dataclass(frozen=True)
class Inner:
    number: float


@dataclass(frozen=True)
class Outer:
    whole: int
    number: float = 0.5
    text: str = ""
    flag: bool = False
    names: tuple[str, ...] = ()
    pair: tuple[int, str] = (0, "")
    table: Mapping[str, float] | None = None
    weight: float | Mapping[str, float] = 1.0
    inner: Inner | None = None
    inners: Mapping[str, Inner] | tuple[Inner, ...] = ()


VALUES = {"null": None, "true": True, "1": 1, "1.5": 1.5, "text": "a", "list": [], "table": {}}
FITTING = {
    "whole": {"1"},
    "number": {"1", "1.5"},
    "text": {"text"},
    "flag": {"true"},
    "names": {"list"},
    "pair": set(),
    "table": {"null", "table"},
    "weight": {"1", "1.5", "table"},
    "inner": {"null"},
    "inners": {"list", "table"},
}


@pytest.mark.parametrize("name", FITTING)
@pytest.mark.parametrize("case", VALUES)
def test_each_field_takes_its_own_types_alone(name, case):
    values = {"whole": 1, name: VALUES[case]}
    if case in FITTING[name]:
        read = getattr(read_dataclass(Outer, values), name)
        assert read == (() if case == "list" else VALUES[case])
    else:
        with pytest.raises(InputError, match=rf"{name}\b.* (must be|is missing)|{name}\.\w+' is missing"):
            read_dataclass(Outer, values)


def test_nested_values():
    text = """{"whole": 2, "number": 3, "names": ["a", "b"], "pair": [4, "c"], "table": {"x": 1},
        "inner": {"number": 1}, "inners": [{"number": 2}]}"""
    read = read_dataclass(Outer, json.loads(text))
    wanted = Outer(2, 3.0, "", False, ("a", "b"), (4, "c"), {"x": 1.0}, 1.0, Inner(1.0), (Inner(2.0),))
    assert read == wanted and type(read.number) is float


@pytest.mark.parametrize("values", [None, True, 5, 1.5, "text", [], [1]])
def test_what_is_no_table_is_refused(values):
    with pytest.raises(InputError, match="the whole must be a table, got"):
        read_dataclass(Outer, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hole": 1}, "unknown key 'at.hole'; the nearest known one is 'at.whole'"),
        ({}, "'at.whole' is missing"),
        ({"whole": 1, "pair": [1]}, r"'at.pair' must be a list of 2, got \[1\]"),
        ({"whole": 1, "pair": ["a", "b"]}, r"'at.pair\[0\]' must be a whole number, got 'a'"),
        ({"whole": 1, "names": ["a", 2]}, r"'at.names\[1\]' must be a text, got 2"),
        ({"whole": 1, "table": {"x": "y"}}, "'at.table.x' must be a number, got 'y'"),
        ({"whole": 1, "inner": {"number": 1, "n": 2}}, "unknown key 'at.inner.n'"),
        ({"whole": 1, "number": 10**400}, r"'at.number' must be a number, got 10+\.\.\."),
    ],
)
def test_errors_name_the_key(values, message):
    with pytest.raises(InputError, match=message):
        read_dataclass(Outer, values, "at")
