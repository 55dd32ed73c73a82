"""Sample grids: every label once, pictures where they belong."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_lab.training.engine.sample_grid import CAPTION_HEIGHT, draw_grid, sample_pairs
from autodir_lab.training.init.model import init_model
from autodir_lab.training.pipeline import STAGES, TrainingRun


def test_pictures_stand_in_rows_and_columns():
    red, blue = (torch.tensor(color).expand(2, 64, 64, 3) for color in ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]))
    page = draw_grid({"a": red, "b": blue}, ["first", "second"])
    assert page.shape == (1, CAPTION_HEIGHT + 2 * (128 + CAPTION_HEIGHT), 256, 3)
    for row in range(2):
        top = CAPTION_HEIGHT + row * (128 + CAPTION_HEIGHT)
        assert torch.equal(page[0, top : top + 128, :128], torch.tensor([1.0, 0.0, 0.0]).expand(128, 128, 3))
        assert torch.equal(page[0, top : top + 128, 128:], torch.tensor([0.0, 0.0, 1.0]).expand(128, 128, 3))
    captions = page[0, CAPTION_HEIGHT + 128 : CAPTION_HEIGHT + 128 + CAPTION_HEIGHT]
    assert captions[:, :128].min() < 0.5 and captions[:, 128:].min() == 1, "only the first column has captions"


def test_examples_show_every_label_and_repeat(data):
    first, again = sample_pairs(data, 48), sample_pairs(data, 48)
    assert first.labels.tolist() == list(range(len(ad.LABELS)))
    assert torch.equal(first.degraded, again.degraded)
    differs = (first.clean != first.degraded).flatten(1).any(dim=1)
    assert differs.tolist() == [label != "no" for label in data.labels]


@pytest.mark.parametrize(("stage", "columns"), [("biqa", 2), ("vae", 2), ("ldm", 3), ("scm", 4)])
def test_each_stage_has_its_grid(small, data, tmp_path, stage, columns):
    page = STAGES[stage].sample_grid(TrainingRun(init_model(small), data, small, tmp_path, from_scratch=True))
    assert page.shape == (1, CAPTION_HEIGHT + 8 * (128 + CAPTION_HEIGHT), columns * 128, 3)
    assert page.min() >= 0 and page.max() <= 1
