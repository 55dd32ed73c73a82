"""Training: data, initialisation, objectives, the loop, recipes, and the stages that put them together."""

STAGE_NAMES = ("biqa", "vae", "ldm", "scm")
"""In the order of their training; what they are stands in `stages.py`, which imports torch."""
