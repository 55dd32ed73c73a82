"""The ablation of recognition: how predictions are counted, and its table."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_lab.ablations.recognition import VARIANTS, RecognitionResult, RecognitionSettings, measure_accuracy
from autodir_lab.ablations.run import recognition_table

PHOTOS = {"gray": torch.full((1, 260, 260, 3), 0.5)}


@pytest.mark.parametrize(("predicted", "accuracy", "false_positive_rate"), [("no", 1 / 8, 0.0), ("haze", 1 / 8, 1.0)])
def test_one_prediction_for_everything(predicted, accuracy, false_positive_rate):
    def logits_fn(images):
        return torch.nn.functional.one_hot(torch.tensor([ad.LABELS.index(predicted)]), 8).float()

    measured = measure_accuracy(logits_fn, ad.LABELS, PHOTOS, RecognitionSettings(crops=1))
    assert measured == (accuracy, false_positive_rate)


def test_the_table_has_means_and_spreads():
    results = [RecognitionResult(name, seed, 0.5 + 0.1 * seed, 0.25) for name in VARIANTS for seed in (0, 1)]
    row = recognition_table(results).splitlines()[2]
    assert row == "| classifier | 55.0 ± 7.1 | 25.0 ± 0.0 |"
