"""The data of a recipe: its sources with their weights, and folders that are not what they should be."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.imaging.files import write_picture
from autodir_lab.training.data.build import DataConfig, load_data


def test_sources_of_a_recipe(tmp_path):
    noise = torch.rand(1, 520, 520, 3)
    write_picture(tmp_path / "photos" / "a.png", noise)
    for kind in ("clean", "degraded"):
        write_picture(tmp_path / "pairs" / "low_resolution" / kind / "a.png", noise)
    given = DataConfig(scenes=0, photos=str(tmp_path / "photos"), pairs=str(tmp_path / "pairs"), pairs_weight=3.0)
    photos, pairs = load_data(given, ad.LABELS, tmp_path).sources
    assert photos.weight == 0.47 and photos.offers("haze") and photos.tiles.array.shape == (4, 512, 512, 4)
    assert pairs.weight == 3.0 and pairs.offers("low resolution") and not pairs.offers("haze")
    with pytest.raises(ad.InputError, match="belongs to no label of this model"):
        load_data(given, ("haze", "no"), tmp_path)
    with pytest.raises(ad.InputError, match="nothing to train on"):
        load_data(DataConfig(scenes=0), ad.LABELS, tmp_path)
