"""The paper's claims, tried at the size of the mini model: which of its ideas carry what, with their spread."""

from __future__ import annotations

from .recognition import RecognitionPlan, recognition_study
from .restoration import RestorationPlan, restoration_study
from .tables import recognition_table, restoration_tables

__all__ = [
    "RecognitionPlan",
    "RestorationPlan",
    "recognition_study",
    "recognition_table",
    "restoration_study",
    "restoration_tables",
]
