from __future__ import annotations

import numpy as np

from autodir_lab.training.data.scenes.surfaces import (
    BANK_SIZE,
    CLOUDS,
    PATTERNS,
    SPECTRA,
    STREAKS,
    linear_rgb,
    texture_bank,
)


def test_lab_white_gray_and_red_are_known_colors():
    lab = np.array([[100.0, 0, 0], [50.0, 0, 0], [53.24, 80.09, 67.2]])
    expected = np.array([[1, 1, 1], [0.184, 0.184, 0.184], [1, 0.005, 0.005]])
    np.testing.assert_allclose(linear_rgb(lab), expected, atol=0.004)


def test_textures_have_unit_variance():
    bank = texture_bank()
    assert bank.shape == (len(SPECTRA) + len(STREAKS) + len(CLOUDS) + len(PATTERNS), BANK_SIZE, BANK_SIZE)
    np.testing.assert_allclose(bank.std(axis=(1, 2)), 1, atol=1e-3)


def test_streaks_run_along_x():
    for texture in texture_bank()[STREAKS.start : STREAKS.stop]:
        assert np.abs(np.diff(texture, axis=0)).mean() > 1.5 * np.abs(np.diff(texture, axis=1)).mean()
