"""The sections of an evaluation's page: tables and small pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from autodir_core.reporting.page import render_picture

from ..sample_result import SampleResult
from .tables import Table

MAX_HEIGHT = 160
"""Height in pixels of the pictures on the page."""


def render_table(table: Table) -> str:
    """Return a section with a table under its title."""
    header = "".join(f'<th scope="col">{plain_text(name)}</th>' for name in table.header)
    last = len(table.rows) - 1
    rows = "\n".join(render_row(row, total=table.total and i == last) for i, row in enumerate(table.rows))
    title = plain_text(table.title)
    return (
        f"<section>\n<h2>{title}</h2>\n<p>{plain_text(table.note)}</p>\n"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">\n'
        f"<table>\n<caption>{title}</caption>\n<thead><tr>{header}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>\n</section>"
    )


def render_row(row: Sequence[str], *, total: bool) -> str:
    """Return a row whose first cell is its header."""
    cells = "".join(f"<td{alignment(cell)}>{plain_text(cell)}</td>" for cell in row[1:])
    kind = ' class="total"' if total else ""
    return f'<tr{kind}><th scope="row">{plain_text(row[0])}</th>{cells}</tr>'


def alignment(cell: str) -> str:
    """Return the class attribute of a cell that is not a number."""
    return "" if re.match(r"[+-]?\d|$", cell) else ' class="text"'


def plain_text(markdown: str) -> str:
    """Return escaped HTML without the asterisks of bold Markdown."""
    return escape(re.sub(r"\*\*(.+?)\*\*", r"\1", markdown))


def render_gallery(results: Sequence[SampleResult], image_path: Callable[[SampleResult], Path]) -> str:
    """Return a section with the worst, a middle and the best sample of each label; `image_path` is of their images."""
    order = "input, result and reference" if any(result.before for result in results) else "input and result"
    parts = [f"<section>\n<h2>Pictures</h2>\n<p>The worst, a middle and the best sample; each shows {order}.</p>"]
    for group in dict.fromkeys(map(gallery_group, results)):
        chosen = worst_middle_best([result for result in results if gallery_group(result) == group])
        figures = [render_figure(result, image_path(result)) for result in chosen]
        parts += [f"<h3>{escape(group)}</h3>", '<div class="gallery">', *figures, "</div>"]
    return "\n".join([*parts, "</section>"])


def gallery_group(result: SampleResult) -> str:
    """Return the ground truth or, where it is unknown, the prediction."""
    return result.ground_truth or f"predicted {result.predicted}"


def worst_middle_best(results: Sequence[SampleResult]) -> list[SampleResult]:
    """Return the samples with the least, a middle and the highest gain."""
    ranked = rank_by_gain(results)
    return [ranked[i] for i in sorted({0, len(ranked) // 2, len(ranked) - 1})]


def rank_by_gain(results: Sequence[SampleResult]) -> list[SampleResult]:
    """Sort from the least PSNR gain or, without a reference, from the largest difference."""
    return sorted(results, key=lambda result: (result.gain, -result.mean_abs_diff))


def render_figure(result: SampleResult, path: Path) -> str:
    """Return a sample's images with its numbers."""
    shown = "Input, result and reference" if result.before else "Input and result"
    with Image.open(path) as picture:
        return render_picture(picture, f"{shown} side by side", describe(result), MAX_HEIGHT)


def describe(result: SampleResult) -> str:
    """Return in one line what happened to a sample."""
    crop = "" if result.crop is None else f", crop {result.crop + 1}"
    severity = "" if result.severity is None else f", severity {result.severity:.2f}"
    rounds = f"{result.photo}{crop}{severity}: removed {', then '.join(result.rounds) or 'nothing'}"
    if result.before is None or result.after is None:
        return f"{rounds}; changed by {result.mean_abs_diff:.1f} levels of 255"
    if result.is_own_reference:
        return f"{rounds}; {f'{result.after.psnr:.1f} dB from the input' if result.gain < 0 else 'as it was'}"
    return f"{rounds}; {result.before.psnr:.1f} dB before, {result.after.psnr:.1f} dB after"
