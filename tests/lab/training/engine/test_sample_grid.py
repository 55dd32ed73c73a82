"""Sample sheets: every label once, pictures where they belong."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_lab.training.engine.sample_grid import SHEETS, STRIP, examples, sheet
from autodir_lab.training.recipes import start_model


def test_pictures_stand_in_rows_and_columns():
    red, blue = (torch.tensor(colour).expand(2, 64, 64, 3) for colour in ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]))
    page = sheet({"a": red, "b": blue}, ["first", "second"])
    assert page.shape == (1, STRIP + 2 * (128 + STRIP), 256, 3)
    for row in range(2):
        top = STRIP + row * (128 + STRIP)
        assert torch.equal(page[0, top : top + 128, :128], torch.tensor([1.0, 0.0, 0.0]).expand(128, 128, 3))
        assert torch.equal(page[0, top : top + 128, 128:], torch.tensor([0.0, 0.0, 1.0]).expand(128, 128, 3))
    captions = page[0, STRIP + 128 : STRIP + 128 + STRIP]
    assert captions[:, :128].min() < 0.5 and captions[:, 128:].min() == 1, "only the first column has captions"


def test_examples_show_every_label_and_repeat(data):
    first, again = examples(data, 48), examples(data, 48)
    assert first.labels.tolist() == list(range(len(ad.LABELS)))
    assert torch.equal(first.degraded, again.degraded)
    differs = (first.clean != first.degraded).flatten(1).any(dim=1)
    assert differs.tolist() == [label != "no" for label in data.labels]


@pytest.mark.parametrize(("part", "columns"), [("biqa", 2), ("vae", 2), ("ldm", 3), ("scm", 4)])
def test_each_part_has_its_sheet(small, data, part, columns):
    page = SHEETS[part](start_model(small), data, 32)
    assert page.shape == (1, STRIP + 8 * (128 + STRIP), columns * 128, 3)
    assert page.min() >= 0 and page.max() <= 1
