from __future__ import annotations

import pytest
import torch

from autodir_core.degrade import degrade, list_kinds
from autodir_core.degrade.noise import _correlate_channels, _correlate_pixels


@pytest.mark.parametrize(("severity", "sigma"), [(0.0, 9.0), (0.5, 25.0), (1.0, 48.0)])
def test_noise_is_near_its_nominal_deviation_at_mid_gray(severity: float, sigma: float) -> None:
    gray = torch.full((96, 32, 32, 3), 0.5)
    deviation = (degrade(gray, "noise", kind="standard", severity=severity) - gray).std((1, 2, 3)) * 255
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
    neighbors = torch.corrcoef(torch.stack([field[:, :, 1:].flatten(), field[:, :, :-1].flatten()]))[0, 1]
    assert neighbors.item() == pytest.approx(0.6 / 1.18, abs=0.02)


def deviation(kind: str, value: float, severity: float = 0.5) -> torch.Tensor:
    """The noise [8, 96, 96, 3] of a kind on a flat picture."""
    flat = torch.full((8, 96, 96, 3), value)
    return degrade(flat, "noise", kind=kind, severity=severity, seed=4) - flat


@pytest.mark.parametrize("kind", [kind for kind in list_kinds("noise") if kind not in ("impulse", "poisson")])
def test_noise_keeps_the_mean(kind: str) -> None:
    assert abs(deviation(kind, 0.5, 0.3).mean().item()) < 0.012


def test_photon_noise_keeps_the_light() -> None:
    """Its mean is kept in linear light, and so is a little lower in code values."""
    seen = deviation("poisson", 0.5) + 0.5
    assert (seen**2.2).mean().item() == pytest.approx(0.5**2.2, rel=0.02)


def test_luminance_noise_is_gray_and_chroma_noise_is_not() -> None:
    gray = deviation("luminance", 0.5)
    assert (gray - gray.mean(-1, keepdim=True)).abs().max() < 1e-5
    color = deviation("chroma", 0.5)
    assert color.mean(-1).std() < 0.35 * color.std()


def test_demosaiced_noise_reaches_its_neighbors() -> None:
    field = deviation("demosaiced", 0.5)[..., 0]
    neighbors = torch.corrcoef(torch.stack([field[:, 1:].flatten(), field[:, :-1].flatten()]))[0, 1]
    assert neighbors > 0.3


def test_film_grain_is_strongest_in_the_middle_tones() -> None:
    dark, middle, bright = (deviation("film grain", value).std() for value in (0.08, 0.5, 0.92))
    assert middle > 1.5 * dark and middle > 1.5 * bright


def test_impulses_leave_the_other_pixels_alone() -> None:
    changed = (deviation("impulse", 0.4) != 0).float().mean()
    assert 0.005 < changed < 0.2


def test_bands_are_lines() -> None:
    field = deviation("banding", 0.5).mean(-1)
    lines = torch.stack([field.mean(1).std(1), field.mean(2).std(1)]).amax(0)
    assert (lines > 2.5 * field.std((1, 2)) / 96**0.5).all()
