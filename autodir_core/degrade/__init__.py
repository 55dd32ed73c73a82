"""Synthetic degradations, one per label, the same for the same seed: training data, tests and the Degrade node."""

from __future__ import annotations

from ..choices import DEGRADATIONS
from .apply import compose, degrade

__all__ = ["DEGRADATIONS", "compose", "degrade"]
