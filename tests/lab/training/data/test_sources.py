"""Sources: labels that they offer, built-in or not, and how often each is drawn from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import autodir_core as ad
from autodir_core.imaging.files import write_picture
from autodir_lab.training.data.crops import CropConfig
from autodir_lab.training.data.dataset import PairDataset, full_batch
from autodir_lab.training.data.sources import (
    CleanSource,
    DataConfig,
    PairSource,
    TrainingData,
    load_data,
    synthetic_data,
)
from autodir_lab.training.data.synthetic import SYNTHETIC


def test_labels_beyond_the_built_in_ones(scenes):
    """A function makes one, pairs show another."""
    gray = CleanSource(scenes, degradations={"gray": lambda crop, severity, seed: torch.full_like(crop[..., :3], 0.5)})
    red = np.zeros((1, 512, 512, 6), dtype=np.uint8)
    red[..., 0], red[..., 4] = 255, 255
    data = TrainingData(("gray", "red", "no"), (gray, PairSource({"red": red})))
    batch = PairDataset(data, CropConfig(48, clean_fraction=0.3))[full_batch(0, 40)]
    by_label = {label: batch.labels == i for i, label in enumerate(data.labels)}
    assert (batch.degraded[by_label["gray"]] == 0.5).all()
    assert torch.equal(batch.degraded[by_label["red"]][0, 0, 0], torch.tensor([1.0, 0.0, 0.0]))
    assert torch.equal(batch.clean[by_label["red"]][0, 0, 0], torch.tensor([0.0, 1.0, 0.0]))
    clean = batch.clean[by_label["no"]]
    green = (clean == torch.tensor([0.0, 1.0, 0.0])).flatten(1).all(dim=1)
    assert green.any() and not green.all(), "both sources give clean pictures"
    assert torch.equal(clean, batch.degraded[by_label["no"]])


def test_sources_are_drawn_from_by_weight(scenes):
    black, white = (np.full_like(scenes[:1], value) for value in (0, 255))
    data = TrainingData(("noise", "no"), (CleanSource(black, 0.25), CleanSource(white, 0.75)))
    batch = PairDataset(data, CropConfig(8, clean_fraction=1.0))[full_batch(0, 400)]
    assert (batch.clean.mean(dim=(1, 2, 3)) > 0.5).float().mean().item() == pytest.approx(0.75, abs=0.07)


def test_a_label_without_a_source(scenes):
    with pytest.raises(ad.InputError, match="no source offers 'glare'"):
        synthetic_data(scenes, ("noise", "glare", "no"))
    with pytest.raises(ad.InputError, match="needs the label 'no'"):
        synthetic_data(scenes, ("noise", "haze"))


def test_built_in_degradations_are_complete():
    assert {*SYNTHETIC, "no"} == set(ad.LABELS)


def test_sources_of_a_recipe(tmp_path):
    noise = torch.rand(1, 520, 520, 3)
    write_picture(tmp_path / "photos" / "a.png", noise)
    for kind in ("clean", "degraded"):
        write_picture(tmp_path / "pairs" / "low_resolution" / kind / "a.png", noise)
    given = DataConfig(scenes=0, photos=str(tmp_path / "photos"), pairs=str(tmp_path / "pairs"), pairs_weight=3.0)
    photos, pairs = load_data(given, ad.LABELS, tmp_path).sources
    assert photos.weight == 0.47 and photos.offers("haze") and photos.tiles.array.shape == (4, 512, 512, 4)
    assert pairs.weight == 3.0 and pairs.offers("low resolution") and not pairs.offers("haze")
    given_negatives = DataConfig(scenes=0, photos=str(tmp_path / "photos"), negatives=str(tmp_path / "photos"))
    _, negatives = load_data(given_negatives, ad.LABELS, tmp_path).sources
    assert negatives.weight == 0.25 and [label for label in ad.LABELS if negatives.offers(label)] == ["no"]
    with pytest.raises(ad.InputError, match="belongs to no label of this model"):
        load_data(given, ("haze", "no"), tmp_path)
    with pytest.raises(ad.InputError, match="nothing to train on"):
        load_data(DataConfig(scenes=0), ad.LABELS, tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"photos": "nowhere"}, {"negatives": "nowhere"}, {"pairs": "nowhere"}, {"pairs": "without_clean"}]
)
def test_folders_are_checked_before_a_scene_is_drawn(tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("autodir_lab.training.data.sources.prepare_scenes", None)
    write_picture("without_clean/haze/degraded/a.png", torch.rand(1, 8, 8, 3))
    with pytest.raises(ad.InputError, match=r"does not exist|is no folder"):
        load_data(DataConfig(**wrong), ad.LABELS, tmp_path)
