"""What became of a batch: a table of all pictures, and a page of those that changed most."""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from .. import __version__, imaging
from ..errors import AutoDIRError
from ..imaging.files import read_picture
from ..imaging.layout import to_pil
from ..reporting.page import render_page, render_picture, render_settings, setting_text
from ..reporting.summary import AGREEMENT
from .planning.names import PAGE
from .planning.sources import TABLE
from .planning.storage import Location, join, local_file, location, write_text_to

pictures_logger = logging.getLogger(imaging.__name__)

SHOWN, SHOWN_SHOTS, HEIGHT = 12, 3, 320
"""How many pictures or films the page shows, how many shots of a film, and their rows at most."""

WORDS = {
    **{"done": "restored", "clean": "clean", "failed": "failed"},
    **{"waiting": "waiting", "working": "at work in other processes"},
}
"""What states are called, as the command does in its last line."""

NOT_OF_BATCH = frozenset({"assess_only", "save_rounds", "report"})
"""Settings that a batch whose page is written has only one value of."""

Row = Mapping[str, Any]


def write_reports(
    folder: Location, rows: Sequence[Row], *, assess_only: bool, settings: Mapping[str, Any] | None = None
) -> None:
    """Write table and page, from the rows of a `Journal` and the settings that it was agreed on with."""
    write_text_to(join(folder, TABLE), render_table(rows, assess_only=assess_only))
    if not assess_only:
        write_text_to(join(folder, PAGE), render_batch(folder, rows, settings))


def render_table(rows: Sequence[Row], *, assess_only: bool) -> str:
    """Return the table as CSV: a row per picture; of an assessment a column per label too, and the crops' agreement."""
    found = {name for row in rows for name in row["facts"]}
    labels = sorted(found, key=lambda name: (name == AGREEMENT, name)) if assess_only else ["changed"]
    heads = labels if assess_only else ["psnr_to_input"]
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["name", "source", "result", "state", "decision", *heads, "seconds", "sha256", "error"])
    for row in rows:
        own = [row["facts"].get(label, "") for label in labels]
        writer.writerow([row[c] or "" for c in ("name", "source", "result", "state", "decision")] + own + tail(row))
    return target.getvalue()


def tail(row: Row) -> list[Any]:
    return [row[column] or "" for column in ("seconds", "sha256", "error")]


def render_batch(folder: Location, rows: Sequence[Row], settings: Mapping[str, Any] | None = None) -> str:
    """Return the page: counts, what changed and whose edges moved most, before and after, what failed, and settings."""
    states = Counter(row["state"] for row in rows)
    counts = ", ".join(f"{states[state]} {word}" for state, word in WORDS.items() if states[state])
    changed = sorted((row for row in rows if "changed" in row["facts"]), key=lambda row: row["facts"]["changed"])
    moved = sorted((row for row in changed if lowest_edges(row) < 1), key=lowest_edges)
    shown = {"Changed most": changed, "Edges moved most: look at these first": moved}
    sections = [render_section(heading, folder, some[:SHOWN]) for heading, some in shown.items() if some]
    films = [row for row in rows if any(shot["rounds"] for shot in row["facts"].get("shots", ()))]
    if films:
        sections.append(render_section("Films", folder, films[:SHOWN]))
    failed = [
        f"<li>{escape(row['name'])}: {escape(row['error'] or '')}</li>" for row in rows if row["state"] == "failed"
    ]
    if failed:
        sections.append("<section>\n<h2>Failed</h2>\n<ul>\n" + "\n".join(failed) + "\n</ul>\n</section>")
    sections.append(render_settings(settings_rows(settings or {})))
    return render_page(f"Batch of {len(rows)}", counts, sections)


def settings_rows(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a page was made with, name and value, those left out that the preset or the picture decides."""
    given = {name: value for name, value in settings.items() if value is not None and name not in NOT_OF_BATCH}
    named = [("model sha256" if name == "model" else name.replace("_", " "), value) for name, value in given.items()]
    now = datetime.now().astimezone().isoformat(" ", "seconds")
    return [(name, setting_text(value)) for name, value in (*named, ("autodir", __version__), ("written", now))]


def lowest_edges(row: Row) -> float:
    """Return how well a restored picture's edges were kept in the round that moved them most, as the gate saw it.

    1 where no gate looked.
    """
    verdicts = (done.get("verdict") for done in row["facts"].get("rounds", ()))
    return min((verdict["edges"] for verdict in verdicts if verdict and verdict["accepted"]), default=1.0)


def render_section(heading: str, folder: Location, rows: Sequence[Row]) -> str:
    shown = "\n".join(render_change(folder, row) for row in rows)
    return f"<section>\n<h2>{heading}</h2>\n{shown}\n</section>"


def render_change(folder: Location, row: Row) -> str:
    """Return a picture, or some frames of a film, before and after; a line where a file is gone."""
    title = f"<h3>{escape(row['name'])}: {escape(row['decision'])}, {describe(row)}</h3>"
    read = read_frames if "shots" in row["facts"] else read_whole
    try:
        with local_file(location(row["source"])) as before, local_file(join(folder, row["result"])) as after:
            pairs = zip(read(before, row), read(after, row), strict=True)
            named = [(when, *shown) for pair in pairs for when, shown in zip(("before", "after"), pair, strict=True)]
    except AutoDIRError as error:
        return f"{title}\n<p>{escape(str(error))}</p>"
    figures = [render_picture(picture, when, f"{when}{where}", HEIGHT) for when, where, picture in named]
    return f'{title}\n<div class="gallery">\n' + "\n".join(figures) + "\n</div>"


def describe(row: Row) -> str:
    if shots := row["facts"].get("shots"):
        unsure = sum(not shot["rounds"] and shot["stopped"] == "low confidence" for shot in shots)
        left = f"; {unsure} of low confidence, which --labels decides" if unsure else ""
        return f"{sum(bool(shot['rounds']) for shot in shots)} of {len(shots)} shots{left}"
    edges = lowest_edges(row)
    kept = f", edges {edges:.2f} of 1" if edges < 1 else ""
    return f"{row['facts']['changed']:g} dB from the input{kept}"


@contextmanager
def told_before() -> Iterator[None]:
    """Keep back what reading a picture warns of: it was told when the picture was worked on."""
    before = pictures_logger.level
    pictures_logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        pictures_logger.setLevel(before)


def read_whole(path: Path, row: Row) -> list[tuple[str, Image.Image]]:
    """Return a picture, and nothing to say of where it is."""
    with told_before():
        return [("", to_pil(read_picture(path).image[0]))]


def read_frames(path: Path, row: Row) -> list[tuple[str, Image.Image]]:
    """Return the middle frames of a film's first restored shots, and when they are."""
    from .films.film import read_frame

    restored = [shot["frames"] for shot in row["facts"]["shots"] if shot["rounds"]]
    found = [read_frame(path, (first + end) // 2) for first, end in restored[:SHOWN_SHOTS]]
    return [(f", at {seconds:.1f} s", to_pil(picture[0])) for seconds, picture in found]
