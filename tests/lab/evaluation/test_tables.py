"""Every number of the tables, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autodir_lab.evaluation import Quality, markdown, tables
from autodir_lab.evaluation.tables import Table, grid

LABELS = ("noise", "haze", "no")


@pytest.fixture
def built():
    """The tables by title."""
    return lambda cases, labels=LABELS: {table.title: table for table in tables(cases, labels)}


def test_single_degradations(case):
    cases = [
        case("noise", "noise", 10, 16),
        case("noise", "no", 20, 22),
        case("no", "no"),
        case("no", "noise", rounds=("noise",)),
    ]
    text = markdown(tables(cases, LABELS))
    assert "| noise | 2 | 50 % | 15.00 | 19.00 | +4.00 | 0.500 | 0.750 |" in text
    assert "| no (clean photo) | 2 | 50 % | left untouched: 50 % |" in text
    assert "| **mean of the degradations** | 2 | 50 % (all labels) | 15.00 | 19.00 | +4.00 |" in text
    assert "| **noise** | 1 |  | 1 |" in text
    assert "haze |" not in text.partition("Confusion")[0], "a label without cases has no row"


def test_a_clean_photo_that_got_a_round_and_then_ended_clean_is_not_untouched(case, built):
    cases = [case("no", "rain", rounds=("rain",), stopped="clean"), case("no", "no"), case("no", "no")]
    assert built(cases)["Single degradations"].rows[0][3] == "left untouched: 67 %"


def test_assessment_alone_has_no_columns_of_quality(case, built):
    assert built([case("noise", "noise", stopped="")])["Single degradations"].rows[0] == ("noise", "1", "100 %")


def test_lpips_has_columns_where_it_was_measured(case, built):
    cases = [
        replace(case("noise", "noise"), before=Quality(20, 0.5, far), after=Quality(25, 0.7, far / 2))
        for far in (0.2, 0.6)
    ]
    table = built(cases)["Single degradations"]
    assert table.head[-2:] == ("LPIPS before", "after") and table.rows[0][-2:] == ("0.400", "0.200")


def test_severity_by_thirds(case, built):
    cases = [
        case("noise", "noise", 10, 11, severity=0.1),
        case("noise", "no", 10, 13, severity=0.33),
        case("noise", "noise", 10, 16, severity=0.34),
        case("noise", "noise", 10, 9, severity=1.0),
    ]
    row = built(cases)["By severity"].rows[0]
    assert row == ("noise", "2", "50 %", "+2.00", "1", "100 %", "+6.00", "1", "100 %", "-1.00")
    assert "By severity" not in built(cases[:1]), "one severity for all is no range"


def test_mixtures_stand_apart_from_single_degradations(case, built):
    cases = [
        case("noise", "noise", 10, 12),
        case("haze + noise", "noise", 10, 16, rounds=("noise", "haze")),
        case("haze + noise", "no", 10, 10, rounds=()),
    ]
    found = built(cases)
    assert found["Mixtures of two degradations"].rows[0][:7] == (
        *("haze + noise", "2", "50 %", "50 %"),
        *("10.00", "13.00", "+3.00"),
    )
    assert found["Single degradations"].rows[-1][:2] == ("**mean of the degradations**", "1")
    assert found["Confusion"].rows == (("**noise**", "1", "", ""),)


def test_each_round_counts_only_the_cases_that_had_it(case, built):
    cases = [
        case("noise", "noise", 10, 14, rounds=("noise", "haze"), rounds_psnr=(16.0, 14.0)),
        case("noise", "noise", 20, 22, rounds=("noise",), rounds_psnr=(22.0,), stopped="max_rounds"),
        case("noise", "no"),
        case("no", "haze", 100, 30, rounds=("haze",), rounds_psnr=(30.0,)),
    ]
    table = built(cases)["Rounds"]
    assert table.rows == (("1", "2", "15.00", "19.00", "+4.00"), ("2", "1", "16.00", "14.00", "-2.00"))
    assert "clean 2, max_rounds 1." in table.note


def test_classical_methods_beside_the_model(case, built):
    cases = [
        case("noise", "noise", 10, 18, baselines={"median": Quality(16, 0.6)}),
        case("noise", "noise", 10, 14, baselines={"median": Quality(18, 0.8)}),
    ]
    expected = ("noise", "median", "10.00", "17.00", "16.00", "-1.00", "0.700", "0.750")
    assert built(cases)["Classical methods"].rows == (expected,)


def test_pictures_of_unknown_degradation(case, built):
    plain = {"before": None, "severity": None, "crop": None}
    cases = [
        case("", "haze", rounds=("haze", "noise"), change=4.0, probability=0.8, **plain),
        case("", "haze", rounds=(), change=0.0, probability=0.6, **plain),
        case("", "no", change=0.0, probability=0.7, **plain),
    ]
    found = built(cases)
    assert list(found) == ["Pictures of unknown degradation"]
    table = found["Pictures of unknown degradation"]
    assert table.rows[0] == ("haze", "2", "70 %", "1.0", "2.0")
    assert table.rows[-1][:2] == ("**all**", "3") and table.total


def test_a_bar_inside_a_cell_is_no_new_column():
    assert grid(("a", "b"), [("x|y", "z")]).splitlines()[-1] == r"| x\|y | z |"
    assert "### Title\n\nNote.\n\n| a |" in markdown([Table("Title", "Note.", ("a",), (("x",),))])
