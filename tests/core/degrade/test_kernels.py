from __future__ import annotations

import math

import pytest
import torch

from autodir_core.degrade.kernels import convolve, convolve_circular, disc_kernel, line_kernel

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
