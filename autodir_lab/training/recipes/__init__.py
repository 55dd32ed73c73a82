"""Recipes: what is trained, from what and for how long; read from TOML, and three that come with this package."""

from .recipe import InitConfig, Recipe, read_recipe, scale_steps, shipped_recipe

__all__ = ["InitConfig", "Recipe", "read_recipe", "scale_steps", "shipped_recipe"]
