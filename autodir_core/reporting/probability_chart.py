"""The probabilities of an assessment as a bar chart."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageDraw, ImageFont
from torch import Tensor

from ..outputs import Assessment
from .drawing import BRIGHT, DIM, GAP, canvas, ellipsize, to_tensor
from .summary import rank_probabilities

MAX_PICTURES = 4
"""Pictures of a batch that are drawn; with more of them the rows would be too small to read on a node."""

FONT_SIZE, ROW_HEIGHT, BAR_HEIGHT = 20, 32, 16
"""Size of the letters, distance of the rows and height of a bar in pixels; a node shows them at about half."""

NAME_WIDTH, BAR_WIDTH, NUMBER_WIDTH = 176, 320, 72
"""Columns for the label, for a bar of 100 % and for the percentage."""

TRACK, FILL, WINNER = (44, 46, 52), (82, 100, 130), (86, 160, 255)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Row:
    """One row of the chart: a label with its probability, or without one the heading of a picture."""

    text: str
    probability: float | None = None
    wins: bool = False


def probability_bar_chart(assessment: Assessment) -> Tensor:
    """Draw a row for each label with its bar and percentage, the most probable first.

    The first pictures of a batch are drawn one under another, each with a heading. The result is float32
    [1, h, w, 3] in 0..1.
    """
    rows = chart_rows(assessment)
    drawn = canvas(NAME_WIDTH + BAR_WIDTH + NUMBER_WIDTH, ROW_HEIGHT * len(rows))
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(FONT_SIZE)
    for number, row in enumerate(rows):
        draw_row(draw, row, font, middle=ROW_HEIGHT * number + ROW_HEIGHT // 2)
    return to_tensor(drawn)


def chart_rows(assessment: Assessment) -> list[Row]:
    """Return the rows from the top; a batch of more than `MAX_PICTURES` ends with how many are left out."""
    count = len(assessment.probabilities)
    rows: list[Row] = []
    for picture in range(min(count, MAX_PICTURES)):
        ranked = rank_probabilities(assessment.probabilities, assessment.labels, picture)
        rows += [Row(f"picture {picture + 1}")] * (count > 1)
        rows += [Row(*pair, wins=place == 0) for place, pair in enumerate(ranked)]
    return rows + [Row(f"and {count - MAX_PICTURES} more")] * (count > MAX_PICTURES)


def draw_row(draw: ImageDraw.ImageDraw, row: Row, font: Font, *, middle: int) -> None:
    """Draw one row around the line `middle`."""
    color = BRIGHT if row.wins else DIM
    if row.probability is None:
        draw.text((0, middle), row.text, fill=BRIGHT, font=font, anchor="lm")
        return
    draw.text((0, middle), ellipsize(row.text, font, NAME_WIDTH - GAP), fill=color, font=font, anchor="lm")
    top, bottom = middle - BAR_HEIGHT // 2, middle + BAR_HEIGHT // 2 - 1
    draw.rectangle((NAME_WIDTH, top, NAME_WIDTH + BAR_WIDTH - 1, bottom), fill=TRACK)
    length = round(row.probability * BAR_WIDTH)
    if length:
        draw.rectangle((NAME_WIDTH, top, NAME_WIDTH + length - 1, bottom), fill=WINNER if row.wins else FILL)
    percent = f"{100 * row.probability:.0f} %"
    draw.text((NAME_WIDTH + BAR_WIDTH + NUMBER_WIDTH, middle), percent, fill=color, font=font, anchor="rm")
