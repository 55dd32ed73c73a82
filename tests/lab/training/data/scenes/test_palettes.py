from __future__ import annotations

import numpy as np

from autodir_lab.training.data.scenes.palettes import linear_rgb


def test_lab_white_gray_and_red_are_known_colors():
    lab = np.array([[100.0, 0, 0], [50.0, 0, 0], [53.24, 80.09, 67.2]])
    expected = np.array([[1, 1, 1], [0.184, 0.184, 0.184], [1, 0.005, 0.005]])
    np.testing.assert_allclose(linear_rgb(lab), expected, atol=0.004)
