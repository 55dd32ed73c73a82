"""Synthetic degradations, reproducible from a seed: a family of kinds per label, rows of `choices.DEGRADATIONS`."""

from __future__ import annotations

from ..choices import DEGRADATIONS, list_kinds
from .apply import check_kinds, compose, degrade, draw_kind

__all__ = ["DEGRADATIONS", "check_kinds", "compose", "degrade", "draw_kind", "list_kinds"]
