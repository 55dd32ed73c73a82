"""Synthetic degradations, reproducible from a seed: a function per label, one row each in `choices.DEGRADATIONS`."""

from __future__ import annotations

from ..choices import DEGRADATIONS
from .apply import compose, degrade

__all__ = ["DEGRADATIONS", "compose", "degrade"]
