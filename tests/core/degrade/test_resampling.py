from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autodir_core.degrade import degrade
from autodir_core.degrade.resampling import resample

KERNELS = ("nearest", "area", "linear", "cubic", "lanczos")


@pytest.mark.parametrize("seed", range(6))
def test_constant_picture_stays_constant(seed: int) -> None:
    grey = torch.full((1, 45, 62, 3), 0.3)
    assert torch.allclose(degrade(grey, "low resolution", severity=0.8, seed=seed), grey, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_same_size_changes_nothing(scene: Tensor, kernel: str) -> None:
    picture = scene[0].movedim(-1, 0)
    assert torch.allclose(resample(picture, (96, 128), kernel=kernel), picture, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS[1:])
def test_ramp_is_enlarged_to_a_ramp(kernel: str) -> None:
    ramp = torch.arange(16.0).expand(1, 16, 16)
    expected = (torch.arange(64) + 0.5) / 4 - 0.5
    tolerance = {"area": 0.51, "lanczos": 0.02}.get(kernel, 1e-4)
    assert torch.allclose(resample(ramp, (16, 64), kernel=kernel)[0, 8, 16:48], expected[16:48], atol=tolerance)


def test_area_reduction_is_the_mean_of_blocks(scene: Tensor) -> None:
    picture = scene[0].movedim(-1, 0)
    blocks = torch.nn.functional.avg_pool2d(picture[None], 4)[0]
    assert torch.allclose(resample(picture, (24, 32), kernel="area"), blocks, atol=0.03)


def test_cubic_reduction_matches_pytorch(scene: Tensor) -> None:
    picture = scene[0].movedim(-1, 0)
    expected = torch.nn.functional.interpolate(
        picture[None], (30, 41), mode="bicubic", align_corners=False, antialias=True
    )[0]
    assert torch.allclose(resample(picture, (30, 41), kernel="cubic"), expected, atol=1e-4)


def test_nearest_makes_blocks(scene: Tensor) -> None:
    enlarged = resample(scene[0].movedim(-1, 0)[:, :8, :8], (32, 32), kernel="nearest")
    blocks = enlarged.unfold(1, 4, 4).unfold(2, 4, 4)
    assert torch.equal(blocks.amax((-1, -2)), blocks.amin((-1, -2)))


def test_fine_detail_is_lost() -> None:
    """Stripes of one pixel cannot survive a reduction by about four, apart from what nearest aliases."""
    stripes = (torch.arange(128) % 2).float()[None, :, None].expand(1, 128, 128)[..., None].expand(16, 128, 128, 3)
    contrast = degrade(stripes, "low resolution", severity=0.5).std((1, 2, 3))
    assert contrast.median() < 0.05
