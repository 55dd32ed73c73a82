from __future__ import annotations

import numpy as np
import pytest

from autodir_lab.training.data.scenes.camera import stretch_contrast, take_photograph


def test_exposure_does_not_depend_on_the_strength_of_the_light():
    radiance = np.random.default_rng(0).uniform(0.01, 1, (64, 64, 3)).astype(np.float32)
    once, brighter = (take_photograph(np.random.default_rng(1), radiance * gain).astype(int) for gain in (1.0, 8.0))
    assert np.abs(once - brighter).max() <= 1


def test_stretching_keeps_the_mean_and_spreads_the_ends():
    encoded = np.random.default_rng(0).uniform(0.4, 0.6, (64, 64, 3)).astype(np.float32)
    wide = stretch_contrast(encoded, strength=1.0)
    assert wide.mean() == pytest.approx(encoded.mean(), abs=1e-4)
    assert np.ptp(wide) == pytest.approx(2.5 * np.ptp(encoded), rel=0.01)
