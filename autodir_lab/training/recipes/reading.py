"""Reads recipes from TOML; a key that no setting has is an error, because a typing mistake would cost hours."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from autodir_core.errors import InputError
from autodir_core.optional_imports import importing

from .recipe import Recipe

SHIPPED = ("mini", "official", "teach")
"""The recipes that come with this package."""

KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def read_recipe(path: str | Path) -> Recipe:
    """A recipe from a TOML file, or one of `SHIPPED` by its name, with or without ".toml".

    Raises InputError for a file that is not there, is not TOML, or has unknown keys or values that do not fit.
    """
    path = Path(path)
    if path.is_file():
        return parse_recipe(path.read_text(encoding="utf-8"), str(path))
    if path.name.removesuffix(".toml") in SHIPPED and path.parent == Path():
        return shipped_recipe(path.name.removesuffix(".toml"))
    raise InputError(f"{path} does not exist; give a recipe's TOML file, or one of: {', '.join(SHIPPED)}")


def shipped_recipe(name: str) -> Recipe:
    """One of `SHIPPED`."""
    return parse_recipe((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"), name)


def parse_recipe(text: str, where: str) -> Recipe:
    """A recipe from TOML; `where` begins the errors."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        with importing("tomli"):
            import tomli as tomllib  # pyright: ignore[reportMissingImports] - Pythons with tomllib do without it

    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where} is not TOML: {error}") from error
    try:
        return build(Recipe, values, "")
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def build(kind: type, values: object, key: str) -> Any:
    """A dataclass from a table, nested tables included; InputError names the key that does not fit."""
    if not isinstance(values, Mapping):
        raise InputError(f"{key} must be a table, got {values!r}")
    known = {field.name: field for field in fields(kind)}
    prefix = f"{key}." if key else ""
    for name in values:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise InputError(f"unknown key {prefix + name!r}; the nearest known one is {prefix + near!r}")
    hints = get_type_hints(kind)
    converted = {name: convert(hints[name], value, prefix + name) for name, value in values.items()}
    for name, field in known.items():
        if name not in values and is_required(field):
            raise InputError(f"{prefix + name!r} is missing")
    return kind(**converted)


def is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def convert(kind: Any, value: object, key: str) -> Any:
    """A TOML value as the type of a setting; InputError where it is of another."""
    if is_dataclass(kind) and isinstance(kind, type):
        return build(kind, value, key)
    if get_origin(kind) in (Union, UnionType):
        return convert(get_args(kind)[0], value, key)
    if get_origin(kind) is tuple:
        return convert_list(get_args(kind), value, key)
    if get_origin(kind) is not None:  # a table of numbers, such as the weights of the correction
        if not isinstance(value, Mapping):
            raise InputError(f"{key!r} must be a table, got {value!r}")
        return {name: convert(get_args(kind)[1], entry, f"{key}.{name}") for name, entry in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise InputError(f"{key!r} must be {KINDS[kind]}, got {value!r}")
    return value


def convert_list(kinds: tuple[Any, ...], value: object, key: str) -> tuple[Any, ...]:
    """A TOML list as a tuple, of a fixed length unless `kinds` ends in an ellipsis."""
    if not isinstance(value, list) or (kinds[-1] is not ... and len(value) != len(kinds)):
        length = "" if kinds[-1] is ... else f" of {len(kinds)}"
        raise InputError(f"{key!r} must be a list{length}, got {value!r}")
    return tuple(convert(kinds[0], entry, key) for entry in value)
