from __future__ import annotations

import numpy as np
import pytest

from autodir_lab.training.data.scenes.leaves import LeafMap, cut_hole, leaf_radii


def test_radii_follow_the_inverse_cube():
    """With density r^-3 between 1 and infinity the share above r is r^-2."""
    radii = leaf_radii(np.random.default_rng(0), 40_000, smallest=1.0, largest=1e6)
    for bound in (2.0, 4.0):
        assert np.mean(radii > bound) == pytest.approx(bound**-2, abs=0.01)


def test_a_hole_shows_what_lies_behind():
    leaf_map = LeafMap(40, 1)
    square = np.array([[-16, -16], [16, -16], [16, 16], [-16, 16]])
    leaf_map.polygon(20 + cut_hole(square, 0.5), 7)
    numbers = np.asarray(leaf_map.map)
    assert (numbers[20, [5, 10, 30, 35]] == 7).all()
    assert (numbers[20, [2, 14, 20, 26, 38]] == 0).all()
