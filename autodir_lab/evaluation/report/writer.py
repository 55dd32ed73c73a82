"""Write the report of an evaluation: Markdown, CSV, JSON, an HTML page, and a contact sheet of the worst samples."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from autodir_core.imaging.files import write_picture
from autodir_core.serialization.atomic import atomic_path

from ..provenance import Provenance
from ..result_store import ResultStore
from ..sample_result import SampleResult
from .contact_sheet import draw_contact_sheet, worst_results
from .html_page import render_page
from .table import Table, markdown_table, to_markdown


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
        page = render_page(
            f"Evaluation of {self.provenance.model}",
            self.headline,
            self.tables,
            self.results,
            settings,
            image_path=store.image_path,
        )
        write_text(store.folder / "evaluation.md", f"{self.markdown()}\n{appendix}")
        write_text(store.folder / "evaluation.csv", to_csv(self.results))
        write_text(store.folder / "evaluation.json", self.json())
        write_text(store.folder / "report.html", page)
        if worst := worst_results(self.results):
            write_picture(store.folder / "worst.png", draw_contact_sheet(worst, store.image_path))


def write_text(path: Path, text: str) -> None:
    """Write a text file with the line ends of the text."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


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
