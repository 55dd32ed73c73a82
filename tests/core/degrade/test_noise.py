from __future__ import annotations

import pytest
import torch

from autodir_core.degrade import degrade
from autodir_core.degrade.noise import _correlate_channels, _correlate_pixels


@pytest.mark.parametrize(("severity", "sigma"), [(0.0, 9.0), (0.5, 25.0), (1.0, 48.0)])
def test_noise_is_near_its_nominal_deviation_at_mid_grey(severity: float, sigma: float) -> None:
    grey = torch.full((96, 32, 32, 3), 0.5)
    deviation = (degrade(grey, "noise", kind="standard", severity=severity) - grey).std((1, 2, 3)) * 255
    assert deviation.mean().item() == pytest.approx(sigma, rel=0.06)


def test_noise_grows_with_the_signal_but_keeps_the_mean() -> None:
    dark, bright = (
        degrade(torch.full((12, 64, 64, 3), v), "noise", kind="standard", severity=0.1) for v in (0.25, 0.75)
    )
    assert bright.std((1, 2, 3)).mean() > 1.1 * dark.std((1, 2, 3)).mean()
    assert bright.mean().item() == pytest.approx(0.75, abs=0.005)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_correlated_channels_keep_unit_variance(share: float) -> None:
    field = _correlate_channels(torch.randn(3, 200, 200, generator=torch.Generator().manual_seed(0)), share)
    assert field.std().item() == pytest.approx(1.0, abs=0.02)
    assert torch.corrcoef(field.flatten(1))[0, 1] > share * 0.9


def test_correlated_pixels_keep_unit_variance() -> None:
    field = _correlate_pixels(torch.randn(3, 200, 200, generator=torch.Generator().manual_seed(0)), 0.3)
    assert field.std().item() == pytest.approx(1.0, abs=0.02)
    # The autocorrelation of [w, 1, w] one step away is 2 w / (1 + 2 w^2).
    neighbours = torch.corrcoef(torch.stack([field[:, :, 1:].flatten(), field[:, :, :-1].flatten()]))[0, 1]
    assert neighbours.item() == pytest.approx(0.6 / 1.18, abs=0.02)
