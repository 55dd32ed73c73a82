"""Reads recipes from TOML; an unknown key is an error, because a typing mistake would cost hours."""

from __future__ import annotations

import sys
from pathlib import Path

from autodir_core.errors import InputError
from autodir_core.optional_imports import optional_import
from autodir_core.serialization.typed_reader import read_dataclass

from .recipe import Recipe

SHIPPED = ("mini", "official", "teach")
"""The recipes that come with this package."""


def read_recipe(path: str | Path) -> Recipe:
    """Return the recipe of a TOML file, or one of `SHIPPED` by its name, with or without ".toml".

    Raises InputError for a file that is not there, is not TOML, or has unknown keys or values of another type.
    """
    path = Path(path)
    if path.is_file():
        return parse_recipe(path.read_text(encoding="utf-8"), str(path))
    if path.name.removesuffix(".toml") in SHIPPED and path.parent == Path():
        return shipped_recipe(path.name.removesuffix(".toml"))
    raise InputError(f"{path} does not exist; give a recipe's TOML file, or one of: {', '.join(SHIPPED)}")


def shipped_recipe(name: str) -> Recipe:
    """Return one of `SHIPPED`."""
    return parse_recipe((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"), name)


def parse_recipe(text: str, where: str) -> Recipe:
    """Return the recipe of a TOML text; `where` begins the errors."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        with optional_import("tomli"):
            import tomli as tomllib  # pyright: ignore[reportMissingImports] - Pythons with tomllib do without it

    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where} is not TOML: {error}") from error
    try:
        return read_dataclass(Recipe, values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
