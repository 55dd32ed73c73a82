"""Measures what a model recognises and restores, on photographs that no training here has seen."""

from __future__ import annotations

from .protocol import Case, Protocol, evaluate
from .tables import markdown

__all__ = ["Case", "Protocol", "evaluate", "markdown"]
