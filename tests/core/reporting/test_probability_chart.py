"""The drawing of probabilities: how long the bars are, in which order, and what a batch shows."""

from __future__ import annotations

import pytest
import torch

from autodir_core.outputs import Assessment
from autodir_core.reporting.drawing import GAP
from autodir_core.reporting.probability_chart import (
    BAR_WIDTH,
    FILL,
    MAX_PICTURES,
    NAME_WIDTH,
    ROW_HEIGHT,
    TRACK,
    WINNER,
    probability_bar_chart,
)

LABELS = ("noise", "haze", "no")


def assessed(*probabilities: list[float]) -> Assessment:
    return Assessment(LABELS, torch.tensor(probabilities), torch.zeros(len(probabilities), 77, 4))


def columns(image: torch.Tensor, row: int, color: tuple[int, int, int]) -> list[int]:
    """Where a row of the drawing, counted from 0, has a color, from the begin of the bars."""
    line = image[0, GAP + row * ROW_HEIGHT + ROW_HEIGHT // 2, GAP + NAME_WIDTH : GAP + NAME_WIDTH + BAR_WIDTH]
    return torch.isclose(line, torch.tensor(color) / 255).all(dim=-1).nonzero()[:, 0].tolist()


def test_the_bars_are_as_long_as_the_probabilities_and_ranked():
    image = probability_bar_chart(assessed([0.25, 0.625, 0.125]))
    assert image.shape[1] == 3 * ROW_HEIGHT + 2 * GAP and image.dtype == torch.float32
    for row, (color, share) in enumerate([(WINNER, 0.625), (FILL, 0.25), (FILL, 0.125)]):
        length = int(share * BAR_WIDTH)
        assert columns(image, row, color) == list(range(length))
        assert columns(image, row, TRACK) == list(range(length, BAR_WIDTH))


def test_nothing_and_everything():
    image = probability_bar_chart(assessed([0.0, 1.0, 0.0]))
    assert columns(image, 0, WINNER) == columns(image, 1, TRACK) == columns(image, 2, TRACK) == list(range(BAR_WIDTH))


def test_each_row_has_its_name_and_its_number():
    one, other = (
        probability_bar_chart(assessed([0.25, 0.625, 0.125])),
        probability_bar_chart(assessed([0.125, 0.625, 0.25])),
    )
    changed = (one != other).any(dim=-1)[0]
    assert not changed[: GAP + ROW_HEIGHT].any(), "the first row says the same"
    assert (
        changed[GAP + ROW_HEIGHT :, : GAP + NAME_WIDTH].any()
        and not changed[:, GAP + NAME_WIDTH : GAP + NAME_WIDTH + BAR_WIDTH].any()
    )


@pytest.mark.parametrize(
    ("batch", "rows"), [(1, 3), (2, 2 * 4), (MAX_PICTURES, MAX_PICTURES * 4), (MAX_PICTURES + 3, MAX_PICTURES * 4 + 1)]
)
def test_the_first_pictures_of_a_batch_stand_one_under_another(batch, rows):
    image = probability_bar_chart(assessed(*[[0.5, 0.25, 0.25]] * (batch - 1), [0.0, 0.0, 1.0]))
    assert image.shape[0] == 1 and image.shape[1] == rows * ROW_HEIGHT + 2 * GAP
    if 1 < batch <= MAX_PICTURES:
        assert (
            len(columns(image, rows - 3, WINNER)) == BAR_WIDTH
            and len(columns(image, rows - 7, WINNER)) == BAR_WIDTH // 2
        )


def test_a_long_label_is_cut_before_the_bars():
    long = Assessment(("x" * 90, "no"), torch.tensor([[0.75, 0.25]]), torch.zeros(1, 77, 4))
    assert len(columns(probability_bar_chart(long), 0, WINNER)) == 0.75 * BAR_WIDTH
