from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from autodir_core.errors import InputError
from autodir_lab.training.data.scenes.scene import Scene, draw_scene

SIZE = 128
SEEDS = range(16)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(seed, SIZE) for seed in SEEDS]


def _luminance(scene: Scene) -> np.ndarray:
    return scene.image.astype(float) @ np.array([0.299, 0.587, 0.114])


def _spectrum_slope(picture: np.ndarray) -> float:
    """Exponent of the radial power spectrum between 4 periods per picture and 0.4 periods per pixel."""
    size = len(picture)
    window = np.hanning(size)[:, None] * np.hanning(size)[None]
    power = np.abs(np.fft.fft2((picture - picture.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    edges = np.geomspace(4 / size, 0.4, 10)
    bins = np.digitize(frequency, edges)
    means = [power[bins == i].mean() for i in range(1, 10)]
    return float(np.polyfit(np.log(edges[1:] * edges[:-1]) / 2, np.log(means), 1)[0])


def test_shapes_and_types(scenes):
    for scene in scenes:
        assert scene.image.shape == (SIZE, SIZE, 3) and scene.image.dtype == np.uint8
        assert scene.depth.shape == (SIZE, SIZE) and scene.depth.dtype == np.uint8


def test_a_seed_always_draws_the_same_scene(scenes):
    again = draw_scene(3, SIZE)
    np.testing.assert_array_equal(again.image, scenes[3].image)
    np.testing.assert_array_equal(again.depth, scenes[3].depth)


def test_seeds_draw_different_scenes(scenes):
    for first, second in pairwise(scenes):
        assert np.abs(first.image.astype(int) - second.image).mean() > 5


def test_odd_sizes_are_drawn():
    assert draw_scene(1, 75).image.shape == (75, 75, 3)


def test_too_small_a_size_is_refused():
    with pytest.raises(InputError, match="at least 16"):
        draw_scene(0, 8)


def test_spectra_fall_as_those_of_photographs(scenes):
    slopes = np.array([_spectrum_slope(_luminance(scene)) for scene in scenes])
    assert -3.2 < np.median(slopes) < -1.8
    assert slopes.std() > 0.1


def test_gradients_are_sparse(scenes):
    """Photographs have many flat places and few strong edges; Gaussian noise would give a kurtosis of 3."""
    kurtosis = []
    for scene in scenes:
        gradient = np.diff(_luminance(scene), axis=1).ravel()
        kurtosis.append(np.mean((gradient - gradient.mean()) ** 4) / gradient.var() ** 2)
    assert np.median(kurtosis) > 6


def test_brightness_and_color_vary(scenes):
    means = [_luminance(scene).mean() for scene in scenes]
    assert np.std(means) > 10
    assert 70 < np.median(means) < 160
    assert np.median([np.ptp(scene.image, axis=2).mean() for scene in scenes]) > 10


def test_depth_uses_its_range(scenes):
    assert np.mean([np.ptp(scene.depth) for scene in scenes]) > 120
    assert max(scene.depth.max() for scene in scenes) == 255
    assert min(scene.depth.min() for scene in scenes) < 60
