"""Writes what an evaluation found: tables as Markdown and CSV, everything as JSON, a page, and the worst pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from autodir_core.imaging.files import write_picture
from autodir_core.imaging.paths import atomic_path

from .contact_sheet import worst, worst_sheet
from .page import page
from .provenance import Provenance
from .result_store import Ledger
from .sample_result import Case, Quality
from .tables import Table, grid, markdown


@dataclass(frozen=True)
class Results:
    """A finished evaluation: its first line, tables, cases, and what it was measured with."""

    headline: str
    tables: Sequence[Table]
    cases: Sequence[Case]
    provenance: Provenance

    def markdown(self) -> str:
        """The first line and the tables."""
        return f"{self.headline}\n\n{markdown(self.tables)}\n"

    def write(self, ledger: Ledger) -> None:
        """evaluation.md, evaluation.csv, evaluation.json, report.html and worst.png in the ledger's folder."""
        told = self.provenance.lines()
        appendix = f"### Measured with\n\n{grid(('setting', 'value'), told)}\n"
        content = (
            {"headline": self.headline} | self.provenance.as_json() | {"cases": [asdict(case) for case in self.cases]}
        )
        title = f"Evaluation of {self.provenance.model}"
        write_text(ledger.folder / "evaluation.md", f"{self.markdown()}\n{appendix}")
        write_text(ledger.folder / "evaluation.csv", table_of_cases(self.cases))
        write_text(ledger.folder / "evaluation.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        write_text(
            ledger.folder / "report.html",
            page(title, self.headline, self.tables, self.cases, told, picture=ledger.picture),
        )
        if shown := worst(self.cases):
            write_picture(ledger.folder / "worst.png", worst_sheet(shown, ledger.picture))


def write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def table_of_cases(cases: Sequence[Case]) -> str:
    """One line per case, as CSV with the names in the first line."""
    rows = [dict(cells(case)) for case in cases]
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def cells(case: Case) -> Iterator[tuple[str, object]]:
    """The columns of one case."""
    yield from {
        "photo": case.photo,
        "crop": "" if case.crop is None else case.crop,
        "label": case.label,
        "severity": "" if case.severity is None else round(case.severity, 4),
        "seen": case.seen,
        "probability": round(case.probability, 4),
        "rounds": "; ".join(case.rounds),
        "stopped": case.stopped,
        "change": round(case.change, 3),
        "seconds": case.seconds,
    }.items()
    yield from quality_cells({"before": case.before, "after": case.after, **case.baselines})


def quality_cells(qualities: Mapping[str, Quality | None]) -> Iterator[tuple[str, object]]:
    """PSNR, SSIM and LPIPS of each picture that was compared."""
    for name, quality in qualities.items():
        if quality:
            yield from ((f"{what} {name}", round(x, 5)) for what, x in asdict(quality).items() if x is not None)
