"""Crops: how far they are downscaled, and configurations that make no sense."""

from __future__ import annotations

import numpy as np
import pytest

import autodir_core as ad
from autodir_lab.training.data.crops import CropConfig
from autodir_lab.training.data.sources import CleanSource


def test_downscaled_crops_show_more_of_the_scene():
    """A picture of one bright column: crops downscaled by up to 16 often hold it, those at native size seldom."""
    scene = np.zeros((1, 512, 512, 4), dtype=np.uint8)
    scene[:, :, 256:264] = 255
    source = CleanSource(scene)

    def seen(config: CropConfig) -> float:
        return float(np.mean([source.draw("no", config, np.random.default_rng(i))[0].amax() > 0.3 for i in range(40)]))

    native, wide = (CropConfig(32, clean_fraction=1, max_downscale={"no": factor}) for factor in (1.0, 16.0))
    assert seen(native) < 0.3 < 0.4 < seen(wide)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"size": 768}, "8 to 512 pixels"),
        ({"max_downscale": {"haze": 0.5}}, "1 or more"),
        ({"class_weights": {"haze": 0.0}}, "above 0"),
    ],
)
def test_configurations_that_make_no_sense(setting, message):
    with pytest.raises(ad.InputError, match=message):
        CropConfig(**{"size": 48, "clean_fraction": 0.1, **setting})
