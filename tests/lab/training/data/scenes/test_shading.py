from __future__ import annotations

import numpy as np

from autodir_lab.training.data.scenes.leaves import LeafMap
from autodir_lab.training.data.scenes.shading import shade
from autodir_lab.training.data.scenes.surfaces import draw_style, draw_surfaces


def test_later_leaves_cover_earlier_ones_and_are_nearer():
    rng = np.random.default_rng(0)
    leaf_map = LeafMap(32, 1)
    leaf_map.add((0, 0), 1.0, depth=1.0)
    square = np.array([[0, 0], [31, 0], [31, 31], [0, 31]])
    for depth in (0.8, 0.3):
        leaf_map.polygon(square, leaf_map.add((16, 16), 16, depth=depth))
    style = draw_style(rng)
    _, depth, coverage = shade(leaf_map, draw_surfaces(rng, style, leaf_map=leaf_map))
    np.testing.assert_allclose(depth, 0.3, atol=1e-6)
    np.testing.assert_allclose(coverage, 1.0)
