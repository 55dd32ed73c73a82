"""Recipes: what is trained, from what and for how long; read from TOML, and two that come with this package."""

from .reading import read_recipe, shipped_recipe
from .recipe import PARTS, Recipe, Sources, Start, shortened, start_model

__all__ = ["PARTS", "Recipe", "Sources", "Start", "read_recipe", "shipped_recipe", "shortened", "start_model"]
