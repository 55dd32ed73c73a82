"""The change of a reduced copy at full size: what it keeps, what it changes, what it needs."""

from __future__ import annotations

import pytest
import torch

from autodir_core.imaging import guided
from autodir_core.imaging.filters import resize
from autodir_core.imaging.guided import transfer_change
from autodir_core.imaging.metrics import psnr


def detailed(height: int, width: int) -> torch.Tensor:
    """A picture [1, H, W, 3] with large forms and fine detail."""
    generator = torch.Generator().manual_seed(0)
    forms = resize(torch.rand(1, 6, 8, 3, generator=generator), height, width)
    return (0.8 * forms + 0.1 + 0.1 * torch.rand(1, height, width, 3, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize(
    "change",
    [lambda x: x * 0.2, lambda x: 0.6 * x + 0.4, lambda x: x * torch.tensor([0.3, 0.5, 0.7])],
    ids=["dark", "haze", "cast"],
)
def test_an_affine_change_is_undone_with_every_detail(change):
    clean = detailed(160, 200)
    damaged = change(clean)
    small_damaged, small_clean = (resize(x, 40, 50) for x in (damaged, clean))
    restored = transfer_change(damaged, small_damaged, small_clean)
    assert psnr(restored, clean) > 38
    assert psnr(resize(small_clean, 160, 200), clean) < 33, "the copy alone has not the detail"


def test_a_local_change_stays_local():
    x = detailed(160, 320)
    small = resize(x, 80, 160)
    after = small.clone()
    after[:, :, :40] *= 0.5
    changed = transfer_change(x, small, after)
    assert (changed[:, :, 220:] - x[:, :, 220:]).abs().max() < 1e-4
    assert psnr(changed[:, :, :40], x[:, :, :40] * 0.5) > 38


def test_nothing_changes_where_nothing_was_changed():
    x = detailed(61, 43)
    small = resize(x, 20, 14)
    assert (transfer_change(x, small, small) - x).abs().max() < 1e-5


def test_bands_of_rows_change_nothing(monkeypatch):
    x = detailed(60, 40)
    small = resize(x, 30, 20)
    whole = transfer_change(x, small, small * 0.5)
    monkeypatch.setattr(guided, "BAND_PIXELS", 40 * 7)
    assert torch.allclose(transfer_change(x, small, small * 0.5), whole, atol=1e-6)
