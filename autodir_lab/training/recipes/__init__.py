"""Recipes: what is trained, from what and for how long; read from TOML, and three that come with this package."""

from .reading import read_recipe, shipped_recipe
from .recipe import InitConfig, Recipe, scale_steps

__all__ = ["InitConfig", "Recipe", "read_recipe", "scale_steps", "shipped_recipe"]
