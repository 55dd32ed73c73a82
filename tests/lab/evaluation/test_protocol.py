"""The protocol: crops, severities, degradations and mixtures depend on the seed alone."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.degrade import compose, degrade
from autodir_lab.evaluation.protocol import Protocol, degrade_crop, draw_severity, label_pairs, random_crops


def test_a_photo_must_hold_a_crop(random_image):
    with pytest.raises(ad.InputError, match="photo a is 64x64"):
        list(random_crops({"a": random_image(0)}, Protocol(size=65)))


def test_more_crops_do_not_move_the_first(random_image):
    few, many = (list(random_crops({"a": random_image(0)}, Protocol(size=40, crops=count))) for count in (2, 4))
    assert all(torch.equal(one[2], other[2]) for one, other in zip(few, many, strict=False))
    assert not torch.equal(many[0][2], many[1][2])


def test_each_sample_has_its_own_severity():
    protocol = Protocol(severity=(0.2, 0.6))
    drawn = [draw_severity(label, f"cat {crop}", protocol) for label in ad.LABELS for crop in range(50)]
    assert 0.2 <= min(drawn) < 0.22 and 0.58 < max(drawn) <= 0.6
    assert len(set(drawn)) == len(drawn)
    assert draw_severity("rain", "cat 0", protocol) == draw_severity("rain", "cat 0", protocol)
    assert draw_severity("rain", "cat 0", Protocol(severity=0.3)) == 0.3


def test_degradations_are_those_of_degrade(random_image):
    clean, protocol = random_image(0), Protocol(severity=(0.1, 0.9))
    severity = draw_severity("rain", "cat 0", protocol)
    rainy = degrade(clean, "rain", kind="standard", severity=severity, seed=728792225)
    assert torch.equal(degrade_crop(clean, "rain", "cat 0", protocol), rainy)
    mixed = compose(clean, ["rain", "noise"], kind="standard", severity=0.5, seed=500562626)
    assert torch.equal(degrade_crop(clean, "rain + noise", "cat 0", Protocol()), mixed)
    assert degrade_crop(clean, "no", "cat 0", protocol) is clean


def test_mixtures_in_the_order_of_image_formation():
    pairs = label_pairs(ad.LABELS)
    assert len(pairs) == 21 and ("haze", "noise") in pairs and ("underexposure", "noise") in pairs
    assert label_pairs(("noise", "haze", "no")) == [("haze", "noise")]
