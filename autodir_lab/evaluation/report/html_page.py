"""The report as one HTML page without scripts: tables and small pictures, readable in any browser and screen reader."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from ..sample_result import SampleResult
from .tables import Table

MAX_HEIGHT, JPEG_QUALITY = 160, 85
"""Height in pixels and quality of the pictures on the page."""


def render_page(title: str, headline: str, sections: Iterable[str]) -> str:
    """Return the whole page: its title, a headline, and rendered sections."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(headline)}</p>", *sections]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


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
    source, width, height = embed_thumbnail(path)
    shown = "Input, result and reference" if result.before else "Input and result"
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" alt="{shown} side by side">'
        f"<figcaption>{escape(describe(result))}</figcaption></figure>"
    )


def describe(result: SampleResult) -> str:
    """Return in one line what happened to a sample."""
    crop = "" if result.crop is None else f", crop {result.crop + 1}"
    severity = "" if result.severity is None else f", severity {result.severity:.2f}"
    rounds = f"{result.photo}{crop}{severity}: removed {', then '.join(result.rounds) or 'nothing'}"
    if result.before is None or result.after is None:
        return f"{rounds}; changed by {result.mean_abs_diff:.1f} levels of 255"
    return f"{rounds}; {result.before.psnr:.1f} dB before, {result.after.psnr:.1f} dB after"


def embed_thumbnail(path: Path) -> tuple[str, int, int]:
    """Return a picture file as the data URL of a small JPEG, and its size in pixels."""
    with Image.open(path) as opened:
        thumbnail = opened.convert("RGB")
    thumbnail.thumbnail((thumbnail.width, MAX_HEIGHT), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    thumbnail.save(data, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}", thumbnail.width, thumbnail.height


def render_settings(settings: Iterable[tuple[str, str]]) -> str:
    """Return a section with the provenance."""
    rows = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in settings
    )
    return (
        '<section>\n<h2>Settings</h2>\n<table class="settings">\n<caption>Settings</caption>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</section>"
    )
