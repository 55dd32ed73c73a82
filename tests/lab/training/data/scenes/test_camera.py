from __future__ import annotations

import numpy as np
import pytest

from autodir_lab.training.data.scenes.camera import downscale, gaussian_blur, stretch_contrast, take_photograph, upscale


def test_exposure_does_not_depend_on_the_strength_of_the_light():
    radiance = np.random.default_rng(0).uniform(0.01, 1, (64, 64, 3)).astype(np.float32)
    once, brighter = (take_photograph(np.random.default_rng(1), radiance * gain).astype(int) for gain in (1.0, 8.0))
    assert np.abs(once - brighter).max() <= 1


def test_stretching_keeps_the_mean_and_spreads_the_ends():
    encoded = np.random.default_rng(0).uniform(0.4, 0.6, (64, 64, 3)).astype(np.float32)
    wide = stretch_contrast(encoded, strength=1.0)
    assert wide.mean() == pytest.approx(encoded.mean(), abs=1e-4)
    assert np.ptp(wide) == pytest.approx(2.5 * np.ptp(encoded), rel=0.01)


def test_blur_keeps_constants_and_spreads_a_point_by_sigma():
    np.testing.assert_allclose(gaussian_blur(np.full((64, 64, 1), 0.3, np.float32), 6.0), 0.3, atol=1e-3)
    point = np.zeros((65, 65, 1), np.float32)
    point[32, 32] = 1
    spread = gaussian_blur(point, 3.0)[..., 0]
    offset = np.arange(65) - 32
    assert np.sqrt((spread.sum(0) * offset**2).sum() / spread.sum()) == pytest.approx(3.0, rel=0.05)


def test_reducing_takes_the_means_of_four_pixels():
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    np.testing.assert_array_equal(downscale(values, 2), [[2.5, 4.5], [10.5, 12.5]])
    assert downscale(values, 1) is values


def test_what_is_smooth_comes_back_from_half_the_size():
    ramp = np.linspace(0, 1, 32, dtype=np.float32)[None, :, None].repeat(32, axis=0)
    np.testing.assert_allclose(upscale(downscale(ramp, 2))[:, 4:-4], ramp[:, 4:-4], atol=1e-3)
