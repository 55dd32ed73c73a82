"""A restoration as an HTML page: before and after with a slider, and each round with what was found and decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from torch import Tensor

from ..imaging.layout import to_pil
from ..labels import CLEAN
from ..outputs import Restoration, Round, Verdict
from .language import label_name, phrase
from .page import embed_picture, render_page, render_picture, render_settings
from .summary import ASSESSED_ENDS, percentage, picture_rounds, rank_probabilities, round_line, stop_line

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
    language: str = "en",
) -> str:
    """Return the page about one restored picture.

    Args:
        name: of the picture.
        image: the input [1, H, W, 3] in 0..1, values outside allowed.
        restoration: the outcome for this picture alone; its image is the result as it is written.
        seconds: that each round took; may be empty.
        settings: what it was made with, name and value.
        language: one of `choices.LANGUAGES`.
    """
    rounds = picture_rounds(restoration, 0)
    times = [phrase(language, ", {seconds:.1f} s", seconds=one) for one in seconds] or [""] * len(rounds)
    sections = [
        render_slider(image, restoration.image, language),
        *(
            render_round(number, done, restoration, took, language)
            for number, (done, took) in enumerate(zip(rounds, times, strict=True), start=1)
        ),
        *render_last(restoration, language),
        render_settings(settings, language),
    ]
    title = phrase(language, "Restoration of {name}", name=name)
    return render_page(title, stop_line(restoration, 0, language), sections, language)


def render_slider(before: Tensor, after: Tensor, language: str) -> str:
    """Return both pictures, one over the other; the edge of the upper one is dragged (CSS `resize`)."""
    upper, width, height = embed_picture(to_pil(before[0]), SLIDER_HEIGHT)
    lower, *_ = embed_picture(to_pil(after[0]), SLIDER_HEIGHT)
    size, first, second = f'width="{width}" height="{height}"', phrase(language, "before"), phrase(language, "after")
    return (
        f"<section>\n<h2>{phrase(language, 'Before and after')}</h2>\n"
        f"<p>{phrase(language, 'Drag the corner at the edge of the left part.')}</p>\n"
        f'<div class="slider" style="aspect-ratio: {width} / {height}; width: {width}px">\n'
        f'<img src="{lower}" {size} alt="{second}">\n'
        f'<div class="before"><img src="{upper}" style="width: {width}px" alt="{first}"></div>\n'
        f"</div>\n</section>"
    )


def render_round(number: int, done: Round, restoration: Restoration, took: str, language: str) -> str:
    """Return one round: its picture, the probabilities before it, and the gate's verdict."""
    refused = not done.changed(0)
    shown, caption = (done.corrected, "refused, not used") if refused else (done.image, "the picture after it")
    line = round_line(number, done, restoration.labels, 0, language) + took
    alternative = phrase(language, "picture of round {number}", number=number)
    return (
        f'<section>\n<h2>{escape(line[0].upper() + line[1:])}</h2>\n<div class="gallery">\n'
        f"{render_picture(to_pil(shown[0]), alternative, phrase(language, caption), ROUND_HEIGHT)}\n"
        f"{render_probabilities(done.probabilities, restoration.labels, language)}\n"
        f"{render_scores(done, language)}</div>\n</section>"
    )


def render_last(restoration: Restoration, language: str) -> list[str]:
    """Return a section with the assessment that ended the loop, if one did.

    None where "no" was not asked about: labels that are only compared with each other say nothing of what is left.
    """
    last = restoration.last_probabilities
    if last is None or restoration.stopped[0] not in ASSESSED_ENDS or CLEAN not in restoration.labels:
        return []
    bars = render_probabilities(last, restoration.labels, language)
    return [f"<section>\n<h2>{phrase(language, 'Last assessment')}</h2>\n{bars}\n</section>"]


def render_probabilities(probabilities: Tensor | None, labels: Sequence[str], language: str) -> str:
    """Return a bar for each label of some probability, the most probable first."""
    rows = "\n".join(
        f'<tr><th scope="row">{escape(label_name(label, language))}</th>'
        f'<td><meter value="{found:.3f}">{escape(percentage(label, found, language))}</meter></td>'
        f"<td>{100 * found:.0f} %</td></tr>"
        for label, found in rank_probabilities(probabilities, labels, 0)
        if found >= MIN_SHOWN
    )
    named = "Probabilities" if CLEAN in labels else "Probabilities, among the named labels only"
    caption = phrase(language, named)
    return f"<table>\n<caption>{caption}</caption>\n<tbody>\n{rows}\n</tbody>\n</table>" if rows else ""


def render_scores(done: Round, language: str) -> str:
    """Return what the gate measured, if there was one."""
    verdict = done.verdict(0)
    if verdict is None:
        return ""
    rows = "\n".join(
        f'<tr><th scope="row">{phrase(language, name)}</th><td>{escape(text)}</td></tr>'
        for name, text in score_texts(verdict, language).items()
    )
    caption = phrase(language, "Quality gate")
    return f"<table>\n<caption>{caption}</caption>\n<tbody>\n{rows}\n</tbody>\n</table>\n"


def score_texts(verdict: Verdict, language: str) -> dict[str, str]:
    """Return the scores of a verdict as a reader reads them, by the templates of their names."""
    accepted = (
        phrase(language, "{part:.0f} % of the change", part=100 * verdict.strength)
        if verdict.accepted
        else phrase(language, "no: {reason}", reason=phrase(language, verdict.refusal))
    )
    return {
        "accepted": accepted,
        "damage removed": f"{100 * verdict.removed:.0f} %",
        "edges kept (correlation)": f"{verdict.edges:.3f}",
        "light shifted (RMS)": f"{verdict.shift:.3f}",
    }
