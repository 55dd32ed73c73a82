from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from autodir_core.errors import InputError
from autodir_core.training import pictures
from autodir_core.training.pictures import draw_scene

SIZE = 128
SEEDS = range(16)


@pytest.fixture(scope="module")
def scenes() -> list[pictures.Scene]:
    return [draw_scene(seed, SIZE) for seed in SEEDS]


def _luminance(scene: pictures.Scene) -> np.ndarray:
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


def test_brightness_and_colour_vary(scenes):
    means = [_luminance(scene).mean() for scene in scenes]
    assert np.std(means) > 10
    assert 70 < np.median(means) < 160
    assert np.median([np.ptp(scene.image, axis=2).mean() for scene in scenes]) > 10


def test_depth_uses_its_range(scenes):
    assert np.mean([np.ptp(scene.depth) for scene in scenes]) > 120
    assert max(scene.depth.max() for scene in scenes) == 255
    assert min(scene.depth.min() for scene in scenes) < 60


def test_later_leaves_cover_earlier_ones_and_are_nearer():
    rng = np.random.default_rng(0)
    sheet = pictures._Sheet(32, 1)
    sheet.add((0, 0), 1.0, depth=1.0)
    square = np.array([[0, 0], [31, 0], [31, 31], [0, 31]])
    for depth in (0.8, 0.3):
        sheet.polygon(square, sheet.add((16, 16), 16, depth=depth))
    style = pictures._draw_style(rng)
    _, depth, coverage = pictures._shade(sheet, pictures._materials(rng, style, sheet=sheet))
    np.testing.assert_allclose(depth, 0.3, atol=1e-6)
    np.testing.assert_allclose(coverage, 1.0)


def test_radii_follow_the_inverse_cube():
    """With density r^-3 between 1 and infinity the share above r is r^-2."""
    radii = pictures._radii(np.random.default_rng(0), 40_000, smallest=1.0, largest=1e6)
    for bound in (2.0, 4.0):
        assert np.mean(radii > bound) == pytest.approx(bound**-2, abs=0.01)


def test_lab_white_grey_and_red_are_known_colours():
    lab = np.array([[100.0, 0, 0], [50.0, 0, 0], [53.24, 80.09, 67.2]])
    expected = np.array([[1, 1, 1], [0.184, 0.184, 0.184], [1, 0.005, 0.005]])
    np.testing.assert_allclose(pictures._linear_rgb(lab), expected, atol=0.004)


def test_blur_keeps_constants_and_spreads_a_point_by_sigma():
    np.testing.assert_allclose(pictures._blur(np.full((64, 64, 1), 0.3, np.float32), 6.0), 0.3, atol=1e-3)
    point = np.zeros((65, 65, 1), np.float32)
    point[32, 32] = 1
    spread = pictures._blur(point, 3.0)[..., 0]
    offset = np.arange(65) - 32
    assert np.sqrt((spread.sum(0) * offset**2).sum() / spread.sum()) == pytest.approx(3.0, rel=0.05)


def test_textures_have_unit_variance():
    bank = pictures._bank()
    assert bank.shape == (len(pictures.SPECTRA) + 24, pictures.BANK_SIZE, pictures.BANK_SIZE)
    np.testing.assert_allclose(bank.std(axis=(1, 2)), 1, atol=1e-3)
