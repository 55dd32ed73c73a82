"""Batches: labels and sources as asked for, every picture by itself, clean where nothing is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import autodir_core as ad
from autodir_lab.training.data.crops import (
    SYNTHETIC,
    CleanSource,
    Crops,
    Data,
    PairSource,
    draw_batch,
    draw_labels,
    synthetic_data,
)
from autodir_lab.training.data.microbatch import full_batch, split_batch

CROPS = Crops(48, clean_share=0.3)


def test_clean_crops_and_degraded_ones(data):
    batch = draw_batch(data, full_batch(0, 12), CROPS)
    assert batch.clean.shape == batch.degraded.shape == (12, 48, 48, 3)
    assert len(batch.labels.unique()) > 3
    for clean, degraded, label in zip(batch.clean, batch.degraded, batch.labels, strict=True):
        assert torch.equal(clean, degraded) == (ad.LABELS[label] == "no")


def test_a_batch_is_the_same_however_it_is_cut(data):
    batch = draw_batch(data, full_batch(2, 5, step=9), CROPS)
    parts = [draw_batch(data, micro, CROPS) for micro in split_batch(2, 9, 5, 3)]
    for name in ("clean", "degraded", "labels"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))


def test_labels_come_as_often_as_they_should(data):
    labels = draw_labels(Data(ad.LABELS, data.sources), full_batch(0, 4000), Crops(48, clean_share=0.25))
    counts = {label: labels.count(label) / 4000 for label in ad.LABELS}
    assert counts.pop("no") == pytest.approx(0.25, abs=0.03)
    assert all(share == pytest.approx(0.75 / 7, abs=0.03) for share in counts.values())


def test_some_labels_come_more_often(data):
    crops = Crops(48, clean_share=0.2, often={"haze": 4.0, "rain": 0.5})
    labels = draw_labels(Data(ad.LABELS, data.sources), full_batch(0, 8000), crops)
    shares = {label: labels.count(label) / len(labels) for label in ad.LABELS}
    one = 0.8 / (5 + 4 + 0.5)
    assert shares["no"] == pytest.approx(0.2, abs=0.02)
    assert shares["haze"] == pytest.approx(4 * one, abs=0.02)
    assert shares["rain"] == pytest.approx(0.5 * one, abs=0.02)
    assert shares["blur"] == pytest.approx(one, abs=0.02)


def test_labels_that_cannot_come_more_often(data):
    with pytest.raises(ad.InputError, match=r"fog.*noise"):
        draw_labels(Data(ad.LABELS, data.sources), full_batch(0, 4), Crops(48, clean_share=0.2, often={"fog": 2.0}))
    with pytest.raises(ad.InputError, match="above 0"):
        Crops(48, clean_share=0.2, often={"haze": 0.0})


def test_a_recipe_may_name_official_labels_that_a_model_lacks(data):
    crops = Crops(48, clean_share=0.2, often={"blur": 9.0, "rain": 3.0}, reduced={"haze": 2.0})
    labels = draw_labels(Data(("noise", "rain", "no"), data.sources), full_batch(0, 4000), crops)
    assert set(labels) == {"noise", "rain", "no"}
    assert labels.count("rain") == pytest.approx(3 * labels.count("noise"), rel=0.15)


def test_reduced_crops_show_more_of_the_scene():
    """A picture of one bright column: crops reduced by up to 16 often hold it, those at native size seldom."""
    scene = np.zeros((1, 512, 512, 4), dtype=np.uint8)
    scene[:, :, 256:264] = 255
    source = CleanSource(scene)

    def seen(crops: Crops) -> float:
        return float(np.mean([source.draw("no", crops, np.random.default_rng(i))[0].amax() > 0.3 for i in range(40)]))

    native, wide = (Crops(32, clean_share=1, reduced={"no": most}) for most in (1.0, 16.0))
    assert seen(native) < 0.3 < 0.4 < seen(wide)


def test_labels_that_cannot_be_reduced(data):
    with pytest.raises(ad.InputError, match=r"`reduced` names 'fog'.*noise"):
        draw_labels(Data(ad.LABELS, data.sources), full_batch(0, 4), Crops(48, clean_share=0.2, reduced={"fog": 2.0}))
    with pytest.raises(ad.InputError, match="1 or more"):
        Crops(48, clean_share=0.2, reduced={"haze": 0.5})


def test_a_label_being_taught_has_its_own_share(data):
    taught = Data(ad.LABELS, data.sources, new="haze")
    labels = draw_labels(taught, full_batch(0, 4000), Crops(48, clean_share=0.2, new_share=0.5))
    shares = {label: labels.count(label) / 4000 for label in ad.LABELS}
    assert shares.pop("haze") == pytest.approx(0.5, abs=0.03)
    assert shares.pop("no") == pytest.approx(0.2, abs=0.03)
    assert all(share == pytest.approx(0.3 / 6, abs=0.02) for share in shares.values())


def test_labels_beyond_the_built_in_ones(scenes):
    """A function makes one, pairs show another."""
    grey = CleanSource(scenes, degradations={"grey": lambda crop, severity, seed: torch.full_like(crop[..., :3], 0.5)})
    red = np.zeros((1, 512, 512, 6), dtype=np.uint8)
    red[..., 0], red[..., 4] = 255, 255
    data = Data(("grey", "red", "no"), (grey, PairSource({"red": red})))
    batch = draw_batch(data, full_batch(0, 40), CROPS)
    by_label = {label: batch.labels == i for i, label in enumerate(data.labels)}
    assert (batch.degraded[by_label["grey"]] == 0.5).all()
    assert torch.equal(batch.degraded[by_label["red"]][0, 0, 0], torch.tensor([1.0, 0.0, 0.0]))
    assert torch.equal(batch.clean[by_label["red"]][0, 0, 0], torch.tensor([0.0, 1.0, 0.0]))
    clean = batch.clean[by_label["no"]]
    green = (clean == torch.tensor([0.0, 1.0, 0.0])).flatten(1).all(dim=1)
    assert green.any() and not green.all(), "both sources give clean pictures"
    assert torch.equal(clean, batch.degraded[by_label["no"]])


def test_shares_of_sources(scenes):
    black, white = (np.full_like(scenes[:1], value) for value in (0, 255))
    data = Data(("noise", "no"), (CleanSource(black, 0.25), CleanSource(white, 0.75)))
    batch = draw_batch(data, full_batch(0, 400), Crops(8, clean_share=1.0))
    assert (batch.clean.mean(dim=(1, 2, 3)) > 0.5).float().mean().item() == pytest.approx(0.75, abs=0.07)


def test_a_label_that_nothing_shows(scenes):
    with pytest.raises(ad.InputError, match="nothing shows 'glare'"):
        synthetic_data(scenes, ("noise", "glare", "no"))
    with pytest.raises(ad.InputError, match="needs the label 'no'"):
        synthetic_data(scenes, ("noise", "haze"))


def test_built_in_degradations_are_complete():
    assert {*SYNTHETIC, "no"} == set(ad.LABELS)


def test_crops_of_a_size_that_pictures_do_not_have():
    with pytest.raises(ad.InputError, match="8 to 512 pixels"):
        Crops(768, clean_share=0.1)
