"""The page about a restoration: what it shows, and that nothing in it comes from or goes outside."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from autodir_core.outputs import Restoration, Round, Verdict
from autodir_core.reporting.restoration_page import restoration_page

LABELS = ("noise", "haze", "no")
IMAGE = torch.rand(1, 24, 32, 3, generator=torch.Generator().manual_seed(0))


def judged(label: str, probabilities: list[float], verdict: Verdict | None) -> Round:
    verdicts = (verdict,) if verdict else ()
    return Round((label,), torch.tensor([probabilities]), IMAGE, IMAGE, IMAGE, verdicts)


@pytest.fixture
def restoration() -> Restoration:
    accepted = Verdict("", 0.5, 0.875, 0.98, 0.01)
    refused = Verdict("edges moved", 1.0, 0.5, 0.3, 0.02)
    rounds = [judged("noise", [0.7, 0.2, 0.1], accepted), judged("haze", [0.0, 0.6, 0.4], refused)]
    return Restoration(IMAGE, rounds, ("no_improvement",), LABELS, torch.tensor([[0.0, 0.0, 1.0]]))


def test_it_tells_every_round_and_why(restoration):
    page = restoration_page("a.png", IMAGE, restoration, seconds=[1.25, 2.0], settings=[("seed", "7")])
    for text in (
        "Round 1: noise 70 % (haze 20 %, no 10 %), 50 % of its change accepted, 1.2 s",
        "Round 2: haze 60 % (no 40 %), refused: edges moved, 2.0 s",
        "done: no improvement",
        "<td>no: edges moved</td>",
        "<td>88 %</td>",
        '<meter value="0.700">noise 70 %</meter>',
        '<th scope="row">seed</th><td>7</td>',
    ):
        assert text in page, text


def test_it_needs_no_script_and_nothing_from_outside(restoration):
    page = restoration_page("a.png", IMAGE, restoration)
    assert "<script" not in page and "http" not in page
    assert all(source.startswith("data:image/jpeg;base64,") for source in re.findall(r'src="([^"]+)"', page))
    assert page.count("<img") == 4


def test_names_and_settings_are_text(restoration):
    page = restoration_page("<b>.png", IMAGE, restoration, settings=[("prompt", "<script>alert(1)</script>")])
    assert "<b>" not in page and "<script" not in page


def test_without_a_gate_or_rounds_it_says_less(restoration):
    plain = replace(restoration, rounds=[judged("noise", [0.7, 0.2, 0.1], None)], stopped=("max_rounds",))
    assert "Quality gate" not in restoration_page("a.png", IMAGE, plain)
    clean = replace(restoration, rounds=[], stopped=("clean",))
    assert "done: clean" in restoration_page("a.png", IMAGE, clean)


def test_what_is_left_is_told_by_an_assessment_that_ended_the_rounds(restoration):
    """Not by the one before the last round, nor by labels that are only compared with each other."""
    assert "Last assessment" in restoration_page("a.png", IMAGE, restoration)
    used_up = replace(restoration, stopped=("max_rounds",))
    assert "Last assessment" not in restoration_page("a.png", IMAGE, used_up)
    rain = Restoration(IMAGE, [judged("rain", [1.0], None)], ("no_labels",), ("rain",), torch.tensor([[1.0]]))
    page = restoration_page("a.png", IMAGE, rain)
    assert "Last assessment" not in page and "Probabilities, among the named labels only" in page
    assert "仅在所列标签之间比较" in restoration_page("a.png", IMAGE, rain, language="zh")


def test_the_whole_page_in_chinese(restoration):
    page = restoration_page("a.png", IMAGE, restoration, seconds=[1.25, 2.0], language="zh")
    for text in (
        '<html lang="zh">',
        "第 1 轮：噪点 noise 70 %（雾霾 haze 20 %、无退化 no 10 %），采纳了变化的 50 %，1.2 秒",
        "第 2 轮：雾霾 haze 60 %（无退化 no 40 %），已拒绝：边缘改变，2.0 秒",
        "完成：无法再改善",
        "<caption>质量关卡</caption>",
        "<td>否：边缘改变</td>",
    ):
        assert text in page, text
    words = re.sub(r"<style>.*?</style>|<[^>]+>|[a-z.]+\.png", " ", page, flags=re.S)
    assert set(re.findall("[A-Za-z]{2,}", words)) == {"noise", "haze", "no"}
