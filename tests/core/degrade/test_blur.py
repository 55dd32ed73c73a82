from __future__ import annotations

import pytest
import torch

from autodir_core.degrade import degrade
from autodir_core.degrade.blur import blur
from autodir_core.degrade.draws import Draw


@pytest.mark.parametrize("seed", range(4))
def test_constant_picture_is_not_blurred(seed: int) -> None:
    grey = torch.full((1, 48, 48, 3), 0.6)
    assert torch.allclose(degrade(grey, "blur", kind="standard", severity=1.0, seed=seed), grey, atol=1e-4)


def test_light_is_mixed_linearly() -> None:
    """Fine black and white stripes blur to the grey of half their light, sqrt(1 / 2), not to half their value."""
    stripes = (torch.arange(128) % 2).float().expand(3, 128, 128)
    for seed in range(6):
        blurred = blur(stripes, Draw(seed, "blur"), severity=1.0)[:, 32:-32, 32:-32]
        assert blurred.mean().item() == pytest.approx(0.5**0.5, abs=0.05)


def test_energy_is_kept() -> None:
    point = torch.zeros(3, 96, 96)
    point[:, 48, 48] = 1.0
    for seed in range(6):
        blurred = blur(point, Draw(seed, "blur"), severity=0.5)
        assert torch.allclose(blurred.square().sum((1, 2)), torch.ones(3), atol=2e-3)


def test_kinds_differ() -> None:
    """Both round (defocus) and elongated (motion) point images occur."""
    point = torch.zeros(3, 96, 96)
    point[:, 48, 48] = 1.0
    line = torch.arange(96) - 48.0
    ratios = []
    for seed in range(16):
        light = blur(point, Draw(seed, "blur"), severity=0.5)[0].square()
        xx, yy = light.sum(0) @ line.square(), light.sum(1) @ line.square()
        xy = line @ light @ line
        roots = torch.linalg.eigvalsh(torch.stack([torch.stack([xx, xy]), torch.stack([xy, yy])]))
        ratios.append((roots[1] / roots[0]).item())
    assert sum(ratio < 1.2 for ratio in ratios) >= 3
    assert sum(ratio > 5 for ratio in ratios) >= 3
