from __future__ import annotations

import pytest
import torch

from autodir_core.degrade.draws import BAND, Draw, between


@pytest.mark.parametrize(("severity", "value"), [(0.0, 2.0), (0.25, 3.0), (0.5, 4.0), (0.75, 7.0), (1.0, 10.0)])
def test_between_is_linear_between_its_anchors(severity: float, value: float) -> None:
    assert between(severity, (2.0, 4.0, 10.0)) == pytest.approx(value)


def test_level_stays_within_its_band_and_varies() -> None:
    draw = Draw(0, "blur")
    values = [draw.level(0.5, (0.0, 0.5, 1.0)) for _ in range(200)]
    assert min(values) >= 0.5 - BAND and max(values) <= 0.5 + BAND
    assert max(values) - min(values) > BAND


def test_seed_and_label_both_matter() -> None:
    first = Draw(1, "rain").rand(8)
    assert torch.equal(first, Draw(1, "rain").rand(8))
    assert not torch.equal(first, Draw(2, "rain").rand(8))
    assert not torch.equal(first, Draw(1, "haze").rand(8))


def test_any_integer_is_a_seed() -> None:
    assert Draw(-1, "rain").uniform(0.0, 1.0) != Draw(2**70, "rain").uniform(0.0, 1.0)


def test_choice_follows_the_weights() -> None:
    draw = Draw(0, "noise")
    picks = [draw.choice("abc", (0.7, 0.3, 0.0)) for _ in range(500)]
    assert "c" not in picks
    assert picks.count("a") == pytest.approx(350, abs=50)


def test_integer_includes_both_ends() -> None:
    draw = Draw(0, "noise")
    assert {draw.integer(2, 4) for _ in range(100)} == {2, 3, 4}
