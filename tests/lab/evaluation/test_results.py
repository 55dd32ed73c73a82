"""The folder of an evaluation: continued, refused, and what is written into it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image

import autodir_core as ad
from autodir_lab.evaluation import Protocol, Quality, tables
from autodir_lab.evaluation.contact_sheet import worst
from autodir_lab.evaluation.measure import Pictures
from autodir_lab.evaluation.provenance import Provenance, sha256
from autodir_lab.evaluation.result_store import Ledger
from autodir_lab.evaluation.results import Results

PROVENANCE = Provenance(
    "mini", "abc", "cpu", "float32", {"torch": "2"}, "photos", Protocol(severity=(0.0, 1.0)), "not measured"
)
VOID = {"img", "meta", "link", "br"}


@pytest.fixture
def cases(case):
    return [
        case("noise", "noise", 10, 16, rounds=("noise", "haze"), rounds_psnr=(15.0, 16.0), seconds=1.5),
        case("haze", "no", 12, 11, baselines={"dark channel": Quality(15, 0.6, 0.1)}),
        case("no", "no", 100, 100, severity=None),
    ]


@pytest.fixture
def pictures(picture):
    return Pictures(picture(0, 32), picture(1, 32), picture(2, 32))


@pytest.fixture
def ledger(tmp_path, cases, pictures):
    """A folder with all cases."""
    ledger = Ledger(tmp_path / "out")
    assert ledger.open(PROVENANCE) == []
    for case in cases:
        ledger.add(case, pictures)
    return ledger


class TestLedger:
    def test_it_gives_back_what_it_was_given(self, ledger, cases):
        again = ledger.open(PROVENANCE)
        assert again == cases
        assert [case.seconds for case in again] == [1.5, 0, 0]

    def test_half_a_line_of_an_interrupted_run_is_dropped(self, ledger, cases, pictures):
        ledger.path.write_text(ledger.path.read_text()[:-20])
        assert ledger.open(PROVENANCE) == cases[:2]
        ledger.add(cases[2], pictures)
        assert ledger.open(PROVENANCE) == cases

    def test_other_settings_are_refused_by_name(self, ledger):
        other = replace(PROVENANCE, sha256="def", protocol=replace(PROVENANCE.protocol, steps=5))
        with pytest.raises(ad.InputError, match=r"another sha256 and steps; choose another folder, or delete .*cases"):
            ledger.open(other)

    def test_more_crops_and_mixtures_only_add_cases(self, ledger, cases):
        more = replace(PROVENANCE, protocol=replace(PROVENANCE.protocol, crops=9, mixtures=True))
        assert ledger.open(more) == cases

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "out").write_text("")
        with pytest.raises(ad.InputError, match="must be a folder"):
            Ledger(tmp_path / "out").open(PROVENANCE)

    def test_every_case_has_its_own_picture(self, ledger, cases):
        assert len({ledger.picture(case) for case in cases}) == 3
        with Image.open(ledger.picture(cases[0])) as strip:
            assert strip.size == (96, 32)


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps what they hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


class TestWritten:
    @pytest.fixture
    def folder(self, ledger, cases):
        cases = [replace(cases[0], photo="<cat> & dog"), *cases[1:]]
        ledger.add(cases[0], Pictures(*(torch.zeros(1, 32, 32, 3) for _ in range(3))))
        Results("mini, today: 1 photo", tables(cases, ad.LABELS), cases, PROVENANCE).write(ledger)
        return ledger.folder

    def test_all_files(self, folder):
        kept = {"cases.jsonl", "pictures"}
        written = {"evaluation.md", "evaluation.csv", "evaluation.json", "report.html", "worst.png"}
        assert {path.name for path in folder.iterdir()} == kept | written

    def test_markdown_says_what_it_was_measured_with(self, folder):
        text = (folder / "evaluation.md").read_text(encoding="utf-8")
        assert text.startswith("mini, today: 1 photo\n\n### Single degradations\n")
        for line in (
            "| sha256 | abc |",
            "| severity | 0 to 1 |",
            "| version of torch | 2 |",
            "| lpips | not measured |",
        ):
            assert line in text

    def test_json_holds_everything(self, folder, cases):
        content = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        assert (content["sha256"], content["protocol"]["seed"], len(content["cases"])) == ("abc", 2024, 3)
        assert content["cases"][1]["baselines"]["dark channel"] == {"psnr": 15, "ssim": 0.6, "lpips": 0.1}

    def test_csv_has_a_line_per_case(self, folder):
        rows = list(csv.DictReader(io.StringIO((folder / "evaluation.csv").read_text(encoding="utf-8"))))
        assert [row["photo"] for row in rows] == ["<cat> & dog", "photo", "photo"]
        assert rows[0]["rounds"] == "noise; haze" and float(rows[0]["psnr after"]) == 16
        assert rows[1]["psnr dark channel"] == "15" and rows[0]["psnr dark channel"] == ""

    def test_the_page_stands_alone_and_can_be_read_aloud(self, folder):
        text = (folder / "report.html").read_text(encoding="utf-8")
        page = Page(text)
        assert page.all("html") == [{"lang": "en"}]
        assert not page.all("script") and not page.all("link") and "http" not in text
        assert all(image["src"].startswith("data:image/jpeg;base64,") and image["alt"] for image in page.all("img"))
        assert len(page.all("table")) == len(page.all("caption"))
        assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
        assert "&lt;cat&gt; &amp; dog, crop 1, severity 0.50: removed noise, then haze; 10.0 dB before" in text

    def test_only_the_mean_is_a_total(self, folder):
        rows = Page((folder / "report.html").read_text(encoding="utf-8")).all("tr")
        assert [row for row in rows if row] == [{"class": "total"}]

    def test_the_worst_come_first_and_clean_photos_are_left_out(self, cases):
        assert [case.label for case in worst(cases)] == ["haze", "noise"]


def test_sha256(tmp_path):
    (tmp_path / "weights").write_bytes(b"abc")
    assert sha256(tmp_path / "weights") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
