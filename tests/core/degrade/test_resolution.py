from __future__ import annotations

import pytest
import torch

from autodir_core.degrade import degrade


@pytest.mark.parametrize("seed", range(6))
def test_constant_picture_stays_constant(seed: int) -> None:
    grey = torch.full((1, 45, 62, 3), 0.3)
    assert torch.allclose(degrade(grey, "low resolution", kind="standard", severity=0.8, seed=seed), grey, atol=1e-5)


def test_fine_detail_is_lost() -> None:
    """Stripes of one pixel cannot survive a reduction by about four, apart from what nearest aliases."""
    stripes = (torch.arange(128) % 2).float()[None, :, None].expand(1, 128, 128)[..., None].expand(16, 128, 128, 3)
    contrast = degrade(stripes, "low resolution", kind="standard", severity=0.5).std((1, 2, 3))
    assert contrast.median() < 0.05
