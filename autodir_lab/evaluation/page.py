"""The report as one page without scripts: tables and small pictures, readable in any browser and by a screen reader."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from .sample_result import Case
from .tables import Table

ROWS, JPEG_QUALITY = 160, 85
"""Height in pixels and quality of the pictures on the page."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d1f24; --dim: #5c616b; --line: #d9dce1; --paper: #fff; --band: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceef2; --dim: #a5abb6; --line: #383c44; --paper: #17181b; --band: #1f2125; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .25rem; }
h3 { font-size: 1rem; margin: 1.75rem 0 .5rem; }
p { margin: .25rem 0 .75rem; max-width: 46rem; color: var(--dim); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { color: var(--dim); font-weight: 600; vertical-align: bottom; }
tbody th, thead th:first-child { text-align: left; }
tbody th { font-weight: 500; }
tbody tr:nth-child(even) { background: var(--band); }
tbody tr.total th, tbody tr.total td { font-weight: 700; }
td.words { text-align: left; }
table.told td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.shown { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; max-width: 100%; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
figcaption { contain: inline-size; font-size: .85rem; color: var(--dim); margin-top: .3rem; }
"""


def page(
    title: str,
    headline: str,
    found: Iterable[Table],
    cases: Sequence[Case],
    told: Iterable[tuple[str, str]],
    *,
    picture: Callable[[Case], Path],
) -> str:
    """The whole page.

    Args:
        title, headline: its first lines.
        found: the tables.
        cases: what they are made of; of each kind the worst, a middle and the best case are shown.
        told: names and values of what it was measured with.
        picture: where a case's strip is.
    """
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(headline)}</p>"]
    body += [section(table) for table in found]
    body += [gallery(cases, picture), provenance(told)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(table: Table) -> str:
    """A table under its title."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in table.head)
    last = len(table.rows) - 1
    rows = "\n".join(row(cells, total=table.total and place == last) for place, cells in enumerate(table.rows))
    return (
        f"<section>\n<h2>{text(table.title)}</h2>\n<p>{text(table.note)}</p>\n"
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(table.title)}">\n'
        f"<table>\n<caption>{text(table.title)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>\n</section>"
    )


def row(cells: Sequence[str], *, total: bool) -> str:
    """A row that begins with its name."""
    rest = "".join(f"<td{words(cell)}>{text(cell)}</td>" for cell in cells[1:])
    kind = ' class="total"' if total else ""
    return f'<tr{kind}><th scope="row">{text(cells[0])}</th>{rest}</tr>'


def words(cell: str) -> str:
    """The class of a cell that holds no number."""
    return "" if re.match(r"[+-]?\d|$", cell) else ' class="words"'


def text(marked: str) -> str:
    """Markdown's bold left out, everything else as it is."""
    return escape(re.sub(r"\*\*(.+?)\*\*", r"\1", marked))


def gallery(cases: Sequence[Case], picture: Callable[[Case], Path]) -> str:
    """The worst, a middle and the best case of each kind."""
    order = "input, result and truth" if any(case.before for case in cases) else "input and result"
    parts = [f"<section>\n<h2>Pictures</h2>\n<p>The worst, a middle and the best case; each shows {order}.</p>"]
    for kind in dict.fromkeys(map(kind_of, cases)):
        figures = [figure(case, picture(case)) for case in telling([c for c in cases if kind_of(c) == kind])]
        parts += [f"<h3>{escape(kind)}</h3>", '<div class="shown">', *figures, "</div>"]
    return "\n".join([*parts, "</section>"])


def kind_of(case: Case) -> str:
    """What was done or, where that is not known, what was seen."""
    return case.label or f"seen as {case.seen}"


def telling(cases: Sequence[Case]) -> list[Case]:
    """The first, a middle and the last of the cases, in the order of what they gained."""
    ranked = sorted(cases, key=lambda case: (case.gain, -case.change))
    places = sorted({0, len(ranked) // 2, len(ranked) - 1})
    return [ranked[place] for place in places]


def figure(case: Case, path: Path) -> str:
    """A case's pictures with the numbers that belong to them."""
    source, width, height = small_picture(path)
    shown = "Input, result and truth" if case.before else "Input and result"
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" alt="{shown} side by side">'
        f"<figcaption>{escape(sentence(case))}</figcaption></figure>"
    )


def sentence(case: Case) -> str:
    """What happened to a case, in words."""
    name = case.photo + ("" if case.crop is None else f", crop {case.crop + 1}")
    done = "" if case.severity is None else f", severity {case.severity:.2f}"
    told = f"{name}{done}: removed {', then '.join(case.rounds) or 'nothing'}"
    if case.before is None or case.after is None:
        return f"{told}; changed by {case.change:.1f} levels of 255"
    return f"{told}; {case.before.psnr:.1f} dB before, {case.after.psnr:.1f} dB after"


def small_picture(path: Path) -> tuple[str, int, int]:
    """A file as a small JPEG inside the page, and its size in pixels."""
    with Image.open(path) as opened:
        small = opened.convert("RGB")
    small.thumbnail((small.width, ROWS), Image.Resampling.LANCZOS)
    kept = io.BytesIO()
    small.save(kept, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(kept.getvalue()).decode()}", small.width, small.height


def provenance(told: Iterable[tuple[str, str]]) -> str:
    """What it was measured with."""
    rows = "\n".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in told)
    return (
        '<section>\n<h2>Measured with</h2>\n<table class="told">\n<caption>Measured with</caption>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</section>"
    )
