"""Structure: what counts as an edge that stayed, and as light that shifted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autodir_core.imaging.structure import edge_correlation, light_shift, reduce_pair


@pytest.fixture
def picture() -> Tensor:
    """Smooth blobs in 0.2..0.8, [1, 96, 128, 3]."""
    coarse = torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(2))
    return 0.2 + 0.6 * torch.nn.functional.interpolate(coarse, (96, 128), mode="bilinear").movedim(1, -1)


@pytest.mark.parametrize("change", [lambda x: 0.3 * x, lambda x: 0.9 - 0.5 * (1 - x), lambda x: x + 0.1])
def test_exposure_and_a_veil_move_no_edges(picture: Tensor, change) -> None:
    assert edge_correlation(picture, change(picture)) > 0.999
    assert light_shift(picture, change(picture), affine=True) < 0.005
    assert light_shift(picture, change(picture), affine=False) > 0.05


def test_grain_moves_no_edges_and_shifts_no_light(picture: Tensor) -> None:
    noisy = picture + 0.05 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    assert edge_correlation(picture, noisy) > 0.75
    assert light_shift(picture, noisy, affine=False) < 0.01


def test_another_scene_has_other_edges(picture: Tensor) -> None:
    assert edge_correlation(picture, picture.flip(1)) < 0.5
    assert light_shift(picture, picture.flip(1), affine=True) > 0.05


def test_a_negative_has_turned_edges(picture: Tensor) -> None:
    assert edge_correlation(picture, 1 - picture) < -0.95


def test_flat_pictures_have_the_same_edges() -> None:
    gray = torch.full((1, 32, 32, 3), 0.5)
    assert edge_correlation(gray, gray + 0.2) == pytest.approx(1.0)
    assert light_shift(gray, gray, affine=True) == light_shift(gray, gray, affine=False) == 0.0


def test_a_drawn_edge_on_a_flat_picture_is_seen() -> None:
    gray, drawn = torch.full((1, 32, 32, 3), 0.5), torch.full((1, 32, 32, 3), 0.5)
    drawn[:, :, 16:] = 0.9
    assert light_shift(gray, drawn, affine=False) > 0.2


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (2000, 3), (1200, 900)])
def test_any_size_is_measured(size: tuple[int, int]) -> None:
    image = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(1))
    pair = reduce_pair(image, image)
    assert pair[0].shape[1] * pair[0].shape[2] <= 2**18 * 1.01
    assert edge_correlation(*pair) == pytest.approx(1.0, abs=1e-4)
    assert light_shift(*pair, affine=False) == 0.0
