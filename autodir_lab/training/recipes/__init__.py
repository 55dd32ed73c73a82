"""Recipes: what is trained, from what and for how long; read from TOML, and three that come with this package."""
