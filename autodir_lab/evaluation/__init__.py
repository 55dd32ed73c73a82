"""Measure what a model recognizes and restores: photographs -> samples -> sample results -> report."""

from __future__ import annotations

from .evaluator import evaluate
from .protocol import Protocol
from .sample_result import Quality, SampleResult

__all__ = ["Protocol", "Quality", "SampleResult", "evaluate"]
