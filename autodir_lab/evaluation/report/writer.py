"""Write the report of an evaluation: Markdown, CSV, JSON, an HTML page, and a contact sheet of the worst samples."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from autodir_core.imaging.files import read_picture, write_picture
from autodir_core.labels import CLEAN
from autodir_core.reporting.montage import contact_sheet
from autodir_core.reporting.page import render_page, render_settings
from autodir_core.serialization.atomic import write_text

from ..result_store import Provenance, ResultStore
from ..sample_result import SampleResult
from .html_page import rank_by_gain, render_gallery, render_table
from .tables import Table, markdown_table, to_markdown

WORST_COUNT = 24
"""Samples on the sheet."""


@dataclass(frozen=True)
class EvaluationReport:
    """A finished evaluation: its headline, tables, sample results and provenance."""

    headline: str
    tables: Sequence[Table]
    results: Sequence[SampleResult]
    provenance: Provenance

    def markdown(self) -> str:
        """Return the headline and the tables."""
        return f"{self.headline}\n\n{to_markdown(self.tables)}\n"

    def json(self) -> str:
        """Return headline, provenance and every sample result."""
        content = {"headline": self.headline, **asdict(self.provenance), "results": list(map(asdict, self.results))}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def write(self, store: ResultStore) -> None:
        """Write evaluation.md, evaluation.csv, evaluation.json, report.html and worst.png into the store's folder."""
        settings = self.provenance.rows()
        appendix = f"### Settings\n\n{markdown_table(('setting', 'value'), settings)}\n"
        sections = [render_gallery(self.results, store.image_path), render_settings(settings)]
        title = f"Evaluation of {self.provenance.model}"
        page = render_page(title, self.headline, [*map(render_table, self.tables), *sections])
        write_text(store.folder / "evaluation.md", f"{self.markdown()}\n{appendix}")
        write_text(store.folder / "evaluation.csv", to_csv(self.results))
        write_text(store.folder / "evaluation.json", self.json())
        write_text(store.folder / "report.html", page)
        if worst := worst_results(self.results):
            write_picture(store.folder / "worst.png", draw_contact_sheet(worst, store.image_path))


def to_csv(results: Sequence[SampleResult]) -> str:
    """Return one line per sample, below the names of the columns."""
    rows = [dict(csv_cells(result)) for result in results]
    columns = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def csv_cells(result: SampleResult) -> Iterator[tuple[str, object]]:
    """Yield names and values of one sample's columns."""
    yield from {
        "photo": result.photo,
        "crop": result.crop,
        "ground truth": result.ground_truth,
        "severity": None if result.severity is None else round(result.severity, 4),
        "predicted": result.predicted,
        "probability": round(result.probability, 4),
        "rounds": "; ".join(result.rounds),
        "stopped": result.stopped,
        "mean abs diff": round(result.mean_abs_diff, 3),
        "seconds": result.seconds,
    }.items()
    for name, quality in {"before": result.before, "after": result.after, **result.baselines}.items():
        if quality:
            yield from ((f"{metric} {name}", round(x, 5)) for metric, x in asdict(quality).items() if x is not None)


def worst_results(results: Sequence[SampleResult]) -> list[SampleResult]:
    """Return the results with the least gain, the worst first, without clean photos."""
    return rank_by_gain([result for result in results if result.labels != (CLEAN,)])[:WORST_COUNT]


def draw_contact_sheet(results: Sequence[SampleResult], image_path: Callable[[SampleResult], Path]) -> Tensor:
    """Draw before and after of each sample with its numbers: [1, h, w, 3] in 0..1.

    Args:
        results: one or more.
        image_path: of a sample's side-by-side images.
    """
    before, after = zip(*(read_before_after(result, image_path(result)) for result in results), strict=True)
    return contact_sheet(before, after, [caption(result) for result in results])


def read_before_after(result: SampleResult, path: Path) -> tuple[Tensor, Tensor]:
    """Read input and result [1, H, W, 3] of a sample's side-by-side images."""
    input_image, restored, *_ = read_picture(path).image.chunk(3 if result.before else 2, dim=2)
    return input_image, restored


def caption(result: SampleResult) -> str:
    """Name a sample and its gain."""
    name = f"{result.photo}, {result.ground_truth or result.predicted}"
    return f"{name}: {result.gain:+.1f} dB" if result.before else f"{name}: changed by {result.mean_abs_diff:.1f}"
