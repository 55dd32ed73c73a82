"""Training: data, initialization, objectives, the loop, recipes, and the stages that put them together."""

STAGE_NAMES = ("biqa", "vae", "ldm", "scm")
"""In the order of their training; `pipeline.py`, which imports torch, has a record of each."""
