"""Measures what a model recognises and restores: photos -> samples -> cases -> tables -> report."""

from __future__ import annotations

from .measure import evaluate
from .protocol import Protocol
from .sample_result import Case, Quality
from .tables import markdown, tables

__all__ = ["Case", "Protocol", "Quality", "evaluate", "markdown", "tables"]
