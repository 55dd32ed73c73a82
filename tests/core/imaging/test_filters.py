from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from autodir_core.imaging.filters import (
    box_blur,
    convolve,
    convolve_circular,
    disc_kernel,
    gaussian_blur,
    line_kernel,
    resample,
    resize,
)

RESAMPLING = ("nearest", "area", "linear", "cubic", "lanczos")
KERNELS = [
    disc_kernel(0.8),
    disc_kernel(2.5),
    disc_kernel(6.0, softness=2.0),
    line_kernel(4.0, 0.3),
    line_kernel(11.0, 2.0, bend=0.25),
    line_kernel(25.0, math.pi / 2, width=1.5),
]


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_sum_to_one_and_are_centred(kernel: torch.Tensor) -> None:
    reach = kernel.shape[0] // 2
    line = torch.arange(-reach, reach + 1.0)
    assert kernel.shape[0] == kernel.shape[1] == 2 * reach + 1
    assert kernel.min() >= 0
    assert kernel.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert (kernel.sum(0) @ line).item() == pytest.approx(0.0, abs=1e-3)
    assert (kernel.sum(1) @ line).item() == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_constant_picture_stays_constant(kernel: torch.Tensor) -> None:
    picture = torch.full((3, 40, 50), 0.37)
    assert torch.allclose(convolve(picture, kernel), picture, atol=1e-5)


def test_disc_has_the_variance_of_a_disc() -> None:
    kernel = disc_kernel(6.0)
    line = torch.arange(-(kernel.shape[0] // 2), kernel.shape[0] // 2 + 1.0)
    # A disc of radius r has variance r^2 / 4 along each axis.
    assert (kernel.sum(0) @ line.square()).item() == pytest.approx(9.0, rel=0.05)


def test_horizontal_line_is_flat_and_has_the_variance_of_a_segment() -> None:
    kernel = line_kernel(21.0, 0.0)
    line = torch.arange(-(kernel.shape[0] // 2), kernel.shape[0] // 2 + 1.0)
    assert kernel.sum(1)[kernel.shape[0] // 2].item() == pytest.approx(1.0, abs=1e-4)
    # A segment of length l has variance l^2 / 12.
    assert (kernel.sum(0) @ line.square()).item() == pytest.approx(21**2 / 12, rel=0.06)


def test_convolve_is_a_convolution_not_a_correlation() -> None:
    point = torch.zeros(1, 15, 15)
    point[0, 7, 6] = 1.0
    kernel = torch.arange(9.0).view(3, 3)
    assert torch.allclose(convolve(point, kernel)[0, 6:9, 5:8], kernel, atol=1e-4)


def test_convolve_circular_wraps() -> None:
    point = torch.zeros(6, 6)
    point[5, 5] = 1.0
    result = convolve_circular(point, torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
    assert result[0, 0].item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("kernel", RESAMPLING)
def test_same_size_changes_nothing(scene: Tensor, kernel: str) -> None:
    picture = scene[0].movedim(-1, 0)
    assert torch.allclose(resample(picture, (96, 128), kernel=kernel), picture, atol=1e-5)


@pytest.mark.parametrize("kernel", RESAMPLING[1:])
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


def test_gaussian_blur_keeps_constants_and_spreads_a_point_by_sigma() -> None:
    assert torch.allclose(gaussian_blur(torch.full((20, 30, 3), 0.3), 6.0), torch.tensor(0.3), atol=1e-6)
    point = torch.zeros(65, 65, 1)
    point[32, 32] = 1
    spread, offsets = gaussian_blur(point, 3.0, sigma_x=2.0)[..., 0], torch.arange(65.0) - 32
    assert (spread.sum(1) @ offsets.square()).sqrt().item() == pytest.approx(3.0, rel=0.02)
    assert (spread.sum(0) @ offsets.square()).sqrt().item() == pytest.approx(2.0, rel=0.02)


def test_gaussian_blur_of_arrays_and_tensors_has_the_same_bits(scene: Tensor) -> None:
    blurred = gaussian_blur(scene[0].numpy(), 2.5, truncate=2.7)
    assert np.array_equal(blurred, gaussian_blur(scene[0], 2.5, truncate=2.7).numpy())


def test_gaussian_blur_works_down_to_one_pixel() -> None:
    assert torch.allclose(gaussian_blur(torch.full((1, 2, 3), 0.3), 4.0), torch.tensor(0.3))


def test_box_blur_averages_only_what_is_there() -> None:
    row = torch.tensor([1.0, 2.0, 3.0, 6.0]).view(1, 1, 1, 4)
    assert box_blur(row, 3)[0, 0, 0].tolist() == [1.5, 2.0, pytest.approx(11 / 3), 4.5]
    assert box_blur(row, 3, count_include_pad=True)[0, 0, 0, 0].item() == pytest.approx(1 / 3)


def test_resizing_to_the_same_size_returns_the_very_tensor(scene: Tensor) -> None:
    assert resize(scene, 96, 128) is scene
    assert resize(scene, 20, 30).shape == (4, 20, 30, 3)
