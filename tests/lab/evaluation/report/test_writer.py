"""The files of a report."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import autodir_core as ad
from autodir_lab.evaluation.report.html_page import describe
from autodir_lab.evaluation.report.tables import build_tables
from autodir_lab.evaluation.report.writer import EvaluationReport, worst_results

VOID_TAGS = {"img", "meta", "link", "br"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def folder(store, results, images, provenance):
    """The folder of a written report."""
    results = [replace(results[0], photo="<cat> & dog"), *results[1:]]
    store.append(results[0], images)
    EvaluationReport("mini, today: 1 photo", build_tables(results, ad.LABELS), results, provenance).write(store)
    return store.folder


def test_all_files(folder):
    stored = {"results.jsonl", "pictures"}
    written = {"evaluation.md", "evaluation.csv", "evaluation.json", "report.html", "worst.png"}
    assert {path.name for path in folder.iterdir()} == stored | written


def test_markdown_has_the_settings(folder):
    text = (folder / "evaluation.md").read_text(encoding="utf-8")
    assert text.startswith("mini, today: 1 photo\n\n### Single degradations\n")
    for row in ("| sha256 | abc |", "| severity | 0 to 1 |", "| version of torch | 2 |", "| lpips | not measured |"):
        assert row in text


def test_json_has_everything(folder):
    content = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert (content["sha256"], content["protocol"]["seed"], len(content["results"])) == ("abc", 2024, 3)
    assert content["results"][1]["baselines"]["dark channel"] == {"psnr": 15, "ssim": 0.6, "lpips": 0.1}


def test_csv_has_a_line_per_sample(folder):
    rows = list(csv.DictReader(io.StringIO((folder / "evaluation.csv").read_text(encoding="utf-8"))))
    assert [row["photo"] for row in rows] == ["<cat> & dog", "photo", "photo"]
    assert rows[0]["rounds"] == "noise; haze" and float(rows[0]["psnr after"]) == 16
    assert rows[1]["psnr dark channel"] == "15" and rows[0]["psnr dark channel"] == ""
    assert (rows[0]["severity"], rows[2]["severity"]) == ("0.5", "")


def test_the_page_is_self_contained_and_accessible(folder):
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}]
    assert not page.all("script") and not page.all("link") and "http" not in text
    assert all(image["src"].startswith("data:image/jpeg;base64,") and image["alt"] for image in page.all("img"))
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    assert "photo, crop 1: removed nothing; as it was" in text
    assert "&lt;cat&gt; &amp; dog, crop 1, severity 0.50: removed noise, then haze; 10.0 dB before" in text


def test_the_mean_and_the_calibration_error_are_totals(folder):
    rows = Page((folder / "report.html").read_text(encoding="utf-8")).all("tr")
    assert [row for row in rows if row] == [{"class": "total"}] * 2


def test_a_clean_photo_that_changed_is_so_far_from_its_input(make_result):
    changed = make_result("no", "haze", 100, 30.04, rounds=("haze",), severity=None)
    assert describe(changed) == "photo, crop 1: removed haze; 30.0 dB from the input"


def test_the_worst_come_first_without_clean_photos(results):
    assert [result.ground_truth for result in worst_results(results)] == ["haze", "noise"]
