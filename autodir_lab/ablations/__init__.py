"""Ablations of the paper's ideas at the size of the mini model, with their spread over seeds."""

from __future__ import annotations

from .recognition import RecognitionSettings, ablate_recognition
from .restoration import RestorationSettings, ablate_restoration

__all__ = ["RecognitionSettings", "RestorationSettings", "ablate_recognition", "ablate_restoration"]
