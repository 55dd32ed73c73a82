"""Draws the probabilities of an assessment as bars."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageDraw, ImageFont
from torch import Tensor

from ..outputs import Assessment
from .montage import BRIGHT, DIM, GAP, canvas, framed, shortened
from .summary import row_of

MOST = 4
"""Pictures of a batch that are drawn; with more of them the rows would be too small to read on a node."""

FONT, ROW, THICKNESS = 20, 32, 16
"""Size of the letters, distance of the rows and height of a bar in pixels; a node shows them at about half."""

NAME, BAR, NUMBER = 176, 320, 72
"""Columns for the label, for a bar of 100 % and for the percentage."""

TRACK, FILL, WINNER = (44, 46, 52), (82, 100, 130), (86, 160, 255)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Row:
    """A line of the drawing: a label with its probability, or without one the heading of a picture."""

    text: str
    probability: float | None = None
    wins: bool = False


def bars(assessment: Assessment) -> Tensor:
    """A row for each label with its bar and percentage, the most probable first.

    The first pictures of a batch stand one under another, each with a heading. Returns float32 [1, h, w, 3] in 0..1.
    """
    rows = rows_of(assessment)
    drawn = canvas(NAME + BAR + NUMBER, ROW * len(rows))
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(FONT)
    for number, row in enumerate(rows):
        draw_row(draw, row, font, middle=ROW * number + ROW // 2)
    return framed(drawn)


def rows_of(assessment: Assessment) -> list[Row]:
    """What is to be drawn, from the top; a batch of more than `MOST` ends with how many are left out."""
    count = len(assessment.probabilities)
    rows: list[Row] = []
    for picture in range(min(count, MOST)):
        ranked = row_of(assessment.probabilities, assessment.labels, picture)
        rows += [Row(f"picture {picture + 1}")] * (count > 1)
        rows += [Row(*pair, wins=place == 0) for place, pair in enumerate(ranked)]
    return rows + [Row(f"and {count - MOST} more")] * (count > MOST)


def draw_row(draw: ImageDraw.ImageDraw, row: Row, font: Font, *, middle: int) -> None:
    """One row around the line `middle` of the drawing."""
    colour = BRIGHT if row.wins else DIM
    if row.probability is None:
        draw.text((0, middle), row.text, fill=BRIGHT, font=font, anchor="lm")
        return
    draw.text((0, middle), shortened(row.text, font, NAME - GAP), fill=colour, font=font, anchor="lm")
    top, bottom = middle - THICKNESS // 2, middle + THICKNESS // 2 - 1
    draw.rectangle((NAME, top, NAME + BAR - 1, bottom), fill=TRACK)
    length = round(row.probability * BAR)
    if length:
        draw.rectangle((NAME, top, NAME + length - 1, bottom), fill=WINNER if row.wins else FILL)
    percent = f"{100 * row.probability:.0f} %"
    draw.text((NAME + BAR + NUMBER, middle), percent, fill=colour, font=font, anchor="rm")
