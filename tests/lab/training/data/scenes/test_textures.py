from __future__ import annotations

import numpy as np

from autodir_lab.training.data.scenes.textures import BANK_SIZE, CLOUDS, PATTERNS, SPECTRA, STREAKS, texture_bank


def test_textures_have_unit_variance():
    bank = texture_bank()
    assert bank.shape == (len(SPECTRA) + len(STREAKS) + len(CLOUDS) + len(PATTERNS), BANK_SIZE, BANK_SIZE)
    np.testing.assert_allclose(bank.std(axis=(1, 2)), 1, atol=1e-3)


def test_streaks_run_along_x():
    for texture in texture_bank()[STREAKS.start : STREAKS.stop]:
        assert np.abs(np.diff(texture, axis=0)).mean() > 1.5 * np.abs(np.diff(texture, axis=1)).mean()
