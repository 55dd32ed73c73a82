from __future__ import annotations

import pytest
import torch

from autodir_core.degrade import degrade


@pytest.mark.parametrize(("severity", "low", "high"), [(0.0, 0.35, 0.48), (1.0, 0.09, 0.15)])
def test_underexposed_white_shows_the_gain(severity: float, low: float, high: float) -> None:
    dark = degrade(torch.ones(8, 32, 32, 3), "underexposure", kind="standard", severity=severity).mean((1, 2, 3))
    assert low < dark.min() and dark.max() < high


def test_underexposure_is_stored_in_eight_bits() -> None:
    levels = degrade(torch.rand(2, 32, 32, 3), "underexposure", kind="standard") * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)
