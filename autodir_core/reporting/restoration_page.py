"""A restoration as an HTML page: before and after with a slider, and each round with what was found and decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from torch import Tensor

from ..imaging.layout import to_pil
from ..outputs import Restoration, Round
from .page import embed_picture, render_page, render_picture, render_settings
from .summary import percentage, picture_rounds, rank_probabilities, round_line, stop_line

SLIDER_HEIGHT, ROUND_HEIGHT = 720, 320
"""Rows that the pictures of the page are reduced to when they have more."""

MIN_SHOWN = 0.005
"""Least probability of a label that gets a bar."""


def restoration_page(
    name: str,
    image: Tensor,
    restoration: Restoration,
    *,
    seconds: Sequence[float] = (),
    settings: Iterable[tuple[str, str]] = (),
) -> str:
    """Return the page about one restored picture.

    Args:
        name: of the picture.
        image: the input [1, H, W, 3] in 0..1, values outside allowed.
        restoration: the outcome for this picture alone; its image is the result as it is written.
        seconds: that each round took; may be empty.
        settings: what it was made with, name and value.
    """
    rounds = picture_rounds(restoration, 0)
    times = [f"{one:.1f} s" for one in seconds] or [""] * len(rounds)
    sections = [
        render_slider(image, restoration.image),
        *(
            render_round(number, done, restoration, took)
            for number, (done, took) in enumerate(zip(rounds, times, strict=True), start=1)
        ),
        *render_last(restoration),
        render_settings(settings),
    ]
    return render_page(f"Restoration of {name}", stop_line(restoration), sections)


def render_slider(before: Tensor, after: Tensor) -> str:
    """Return both pictures, one over the other; the edge of the upper one is dragged (CSS `resize`)."""
    upper, width, height = embed_picture(to_pil(before[0]), SLIDER_HEIGHT)
    lower, *_ = embed_picture(to_pil(after[0]), SLIDER_HEIGHT)
    size = f'width="{width}" height="{height}"'
    return (
        f"<section>\n<h2>Before and after</h2>\n<p>Drag the corner at the edge of the left part.</p>\n"
        f'<div class="slider" style="aspect-ratio: {width} / {height}; width: {width}px">\n'
        f'<img src="{lower}" {size} alt="after">\n'
        f'<div class="before"><img src="{upper}" style="width: {width}px" alt="before"></div>\n'
        f"</div>\n</section>"
    )


def render_round(number: int, done: Round, restoration: Restoration, took: str) -> str:
    """Return one round: its picture, the probabilities before it, and the gate's verdict."""
    refused = not done.changed(0)
    shown, caption = (done.corrected, "refused, not used") if refused else (done.image, "the picture after it")
    line = round_line(number, done, restoration.labels)
    title = f"{line[0].upper()}{line[1:]}" + (f", {took}" if took else "")
    return (
        f'<section>\n<h2>{escape(title)}</h2>\n<div class="gallery">\n'
        f"{render_picture(to_pil(shown[0]), f'picture of round {number}', caption, ROUND_HEIGHT)}\n"
        f"{render_probabilities(done.probabilities, restoration.labels)}\n{render_scores(done)}</div>\n</section>"
    )


def render_last(restoration: Restoration) -> list[str]:
    """Return a section with the last assessment, if there is one."""
    if restoration.last_probabilities is None:
        return []
    bars = render_probabilities(restoration.last_probabilities, restoration.labels)
    return [f"<section>\n<h2>Last assessment</h2>\n{bars}\n</section>"]


def render_probabilities(probabilities: Tensor | None, labels: Sequence[str]) -> str:
    """Return a bar for each label of some probability, the most probable first."""
    rows = "\n".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        f'<td><meter value="{found:.3f}">{escape(percentage(label, found))}</meter></td>'
        f"<td>{100 * found:.0f} %</td></tr>"
        for label, found in rank_probabilities(probabilities, labels, 0)
        if found >= MIN_SHOWN
    )
    return f"<table>\n<caption>Probabilities</caption>\n<tbody>\n{rows}\n</tbody>\n</table>" if rows else ""


def render_scores(done: Round) -> str:
    """Return what the gate measured, if there was one."""
    verdict = done.verdict(0)
    if verdict is None:
        return ""
    scores = {
        "accepted": f"{100 * verdict.strength:.0f} % of the change" if verdict.accepted else f"no: {verdict.refusal}",
        "damage removed": f"{100 * verdict.removed:.0f} %",
        "edges kept (correlation)": f"{verdict.edges:.3f}",
        "light shifted (RMS)": f"{verdict.shift:.3f}",
    }
    rows = "\n".join(f'<tr><th scope="row">{name}</th><td>{escape(text)}</td></tr>' for name, text in scores.items())
    return f"<table>\n<caption>Quality gate</caption>\n<tbody>\n{rows}\n</tbody>\n</table>\n"
