"""Read dataclasses from untrusted JSON or TOML values: every key and every type is checked, errors name the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ..errors import InputError

T = TypeVar("T")

SCALARS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", NoneType: "empty"}
"""The types of single values and their names in errors."""


def read_dataclass(kind: type[T], values: object, where: str = "") -> T:
    """Build a dataclass from a table of parsed JSON or TOML.

    Args:
        kind: a dataclass whose fields are numbers, texts, booleans, tuples, mappings with text keys, other dataclasses,
            or unions of these. Lists become tuples, whole numbers become floats where a float is wanted; nothing else
            is converted.
        values: the parsed value, of any type.
        where: begins the names of the keys in errors, such as "[3]" or "data".

    Raises InputError for a value that is no table, an unknown or missing key, or a value of another type, and passes on
    what the dataclass itself raises.
    """
    if not isinstance(values, Mapping):
        raise _mismatch(where, "a table", values)
    known = {field.name: field for field in fields(kind)}  # pyright: ignore[reportArgumentType] - T is a dataclass
    for name in values:
        if name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.0)[0]
            raise InputError(f"unknown key {_join(where, name)!r}; the nearest known one is {_join(where, near)!r}")
    hints = get_type_hints(kind)
    read = {name: _read(hints[name], value, _join(where, name)) for name, value in values.items()}
    for name, field in known.items():
        if name not in values and _is_required(field):
            raise InputError(f"{_join(where, name)!r} is missing")
    return kind(**read)


def _join(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _mismatch(key: str, wanted: str, value: object) -> InputError:
    shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}..."
    return InputError(f"{repr(key) if key else 'the whole'} must be {wanted}, got {shown}")


def _read(kind: Any, value: object, key: str) -> Any:
    """`value` as the type `kind`; InputError where it is of another."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _read_union(arguments, value, key)
    if origin is tuple:
        return _read_tuple(arguments, value, key)
    if origin is not None and issubclass(origin, Mapping):
        return _read_mapping(arguments[1], value, key)
    if is_dataclass(kind) and isinstance(kind, type):
        return read_dataclass(kind, value, key)
    return _read_scalar(kind, value, key)


def _read_union(kinds: Sequence[Any], value: object, key: str) -> Any:
    """`value` as the first of several types that fits; the last error where none does."""
    if value is None and NoneType in kinds:
        return None
    *others, last = (kind for kind in kinds if kind is not NoneType)
    for kind in others:
        try:
            return _read(kind, value, key)
        except InputError:
            continue  # the next type may fit
    return _read(last, value, key)


def _read_tuple(kinds: Sequence[Any], value: object, key: str) -> tuple[Any, ...]:
    """Return a list as a tuple, of a fixed length unless `kinds` ends in an ellipsis."""
    open_end = kinds[-1] is ...
    if not isinstance(value, (list, tuple)) or not (open_end or len(value) == len(kinds)):
        raise _mismatch(key, "a list" if open_end else f"a list of {len(kinds)}", value)
    each = [kinds[0]] * len(value) if open_end else kinds
    return tuple(_read(kind, entry, f"{key}[{i}]") for i, (kind, entry) in enumerate(zip(each, value, strict=True)))


def _read_mapping(kind: Any, value: object, key: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _mismatch(key, "a table", value)
    return {str(name): _read(kind, entry, _join(key, name)) for name, entry in value.items()}


def _read_scalar(kind: Any, value: object, key: str) -> Any:
    """Exactly the type that is wanted: true is no number, 1.0 is no whole number."""
    if kind is float and type(value) is int and abs(value) <= 2**1023:
        return float(value)
    if type(value) is not kind:
        raise _mismatch(key, SCALARS[kind], value)
    return value
