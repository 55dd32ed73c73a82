"""Every number of the tables, computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autodir_lab.evaluation.report.tables import Table, build_tables, markdown_table, to_markdown
from autodir_lab.evaluation.sample_result import Quality

LABELS = ("noise", "haze", "no")


@pytest.fixture
def tables():
    """Return the tables by title."""
    return lambda results, labels=LABELS: {table.title: table for table in build_tables(results, labels)}


def test_single_degradations(make_result):
    results = [
        make_result("noise", "noise", 10, 16),
        make_result("noise", "no", 20, 22),
        make_result("no", "no"),
        make_result("no", "noise", rounds=("noise",)),
    ]
    text = to_markdown(build_tables(results, LABELS))
    assert "| noise | 2 | 50 % | 15.00 | 19.00 | +4.00 | 0.500 | 0.750 |" in text
    assert "| no (clean photo) | 2 | 50 % | left untouched: 50 % |" in text
    assert "| **mean of the degradations** | 2 | 50 % (all labels) | 15.00 | 19.00 | +4.00 |" in text
    assert "| **noise** | 1 |  | 1 |" in text
    assert "haze |" not in text.partition("Confusion")[0], "a label without samples has no row"


def test_a_clean_photo_that_got_a_round_and_then_ended_clean_is_not_untouched(make_result, tables):
    results = [
        make_result("no", "rain", rounds=("rain",), stopped="clean"),
        make_result("no", "no"),
        make_result("no", "no"),
    ]
    assert tables(results)["Single degradations"].rows[0][3] == "left untouched: 67 %"


def test_assessment_alone_has_no_columns_of_quality(make_result, tables):
    assert tables([make_result("noise", "noise", stopped="")])["Single degradations"].rows[0] == ("noise", "1", "100 %")


def test_lpips_has_columns_if_measured(make_result, tables):
    results = [
        replace(make_result("noise", "noise"), before=Quality(20, 0.5, lpips), after=Quality(25, 0.7, lpips / 2))
        for lpips in (0.2, 0.6)
    ]
    table = tables(results)["Single degradations"]
    assert table.header[-2:] == ("LPIPS before", "after") and table.rows[0][-2:] == ("0.400", "0.200")


def test_what_came_back_worse(make_result, tables):
    results = [
        make_result("noise", "noise", 20, 25),
        make_result("haze", "haze", 20, 19.95),
        make_result("haze", "noise", 20, 12, photo="street", refused=("blur: edges moved",)),
        make_result("noise + haze", "noise", 20, 21),
        make_result("no", "no", 100, 100),
        make_result("no", "haze", 100, 30, photo="snow"),
    ]
    assert tables(results)["Worse than before"].rows == (
        ("single degradations", "3", "-1.02", "33 %", "1", "-8.00 dB: street haze"),
        ("mixtures", "1", "+1.00", "0 %", "0", "none"),
        ("clean photos", "2", "", "50 %", "0", "30.00 dB from the input: snow no"),
    )


def test_a_pair_named_clean_has_a_gain(make_result, tables):
    assert tables([make_result("no", "noise", 40, 30)])["Worse than before"].rows[0][-1] == "-10.00 dB: photo no"


def test_calibration(make_result, tables):
    """Half of those at 0.8 are right, the one at 0.6 is: (2 * 0.3 + 0.4) / 3."""
    results = [
        make_result("noise", "noise", probability=0.8),
        make_result("noise", "no", probability=0.8),
        make_result("no", "no", probability=0.6),
        make_result("noise + haze", "no", probability=1.0),
    ]
    assert "the error is over 15 bins of equal width, empty ones left out" in tables(results)["Calibration"].note
    assert tables(results)["Calibration"].rows == (
        ("from 50%", "1", "60 %", "100 %"),
        ("from 70%", "2", "80 %", "50 %"),
        ("**expected calibration error**", "3", "0.333", ""),
    )


def test_severity_by_thirds(make_result, tables):
    results = [
        make_result("noise", "noise", 10, 11, severity=0.1),
        make_result("noise", "no", 10, 13, severity=0.33),
        make_result("noise", "noise", 10, 16, severity=0.34),
        make_result("noise", "noise", 10, 9, severity=1.0),
    ]
    row = tables(results)["By severity"].rows[0]
    assert row == ("noise", "2", "50 %", "+2.00", "1", "100 %", "+6.00", "1", "100 %", "-1.00")
    assert "By severity" not in tables(results[:1]), "one severity for all is no range"


def test_mixtures_have_a_table_of_their_own(make_result, tables):
    results = [
        make_result("noise", "noise", 10, 12),
        make_result("haze + noise", "noise", 10, 16, rounds=("noise", "haze")),
        make_result("haze + noise", "no", 10, 10, rounds=()),
    ]
    by_title = tables(results)
    assert by_title["Mixtures of two degradations"].rows[0][:7] == (
        *("haze + noise", "2", "50 %", "50 %"),
        *("10.00", "13.00", "+3.00"),
    )
    assert by_title["Single degradations"].rows[-1][:2] == ("**mean of the degradations**", "1")
    assert by_title["Confusion"].rows == (("**noise**", "1", "", ""),)


def test_each_round_counts_only_the_cases_that_had_it(make_result, tables):
    results = [
        make_result("noise", "noise", 10, 14, rounds=("noise", "haze"), psnr_per_round=(16.0, 14.0)),
        make_result("noise", "noise", 20, 22, rounds=("noise",), psnr_per_round=(22.0,), stopped="max_rounds"),
        make_result("noise", "no"),
        make_result("no", "haze", 100, 30, rounds=("haze",), psnr_per_round=(30.0,)),
    ]
    table = tables(results)["Rounds"]
    assert table.rows == (("1", "2", "15.00", "19.00", "+4.00"), ("2", "1", "16.00", "14.00", "-2.00"))
    assert "clean 2, max rounds 1." in table.note


def test_classical_methods_and_the_model(make_result, tables):
    results = [
        make_result("noise", "noise", 10, 18, baselines={"median": Quality(16, 0.6)}),
        make_result("noise", "noise", 10, 14, baselines={"median": Quality(18, 0.8)}),
    ]
    expected = ("noise", "median", "10.00", "17.00", "16.00", "-1.00", "0.700", "0.750")
    assert tables(results)["Classical methods"].rows == (expected,)


def test_pictures_of_unknown_degradation(make_result, tables):
    plain = {"before": None, "severity": None, "crop": None}
    results = [
        make_result("", "haze", rounds=("haze", "noise"), mean_abs_diff=4.0, probability=0.8, **plain),
        make_result("", "haze", rounds=(), mean_abs_diff=0.0, probability=0.6, **plain),
        make_result("", "no", mean_abs_diff=0.0, probability=0.7, **plain),
    ]
    by_title = tables(results)
    assert list(by_title) == ["Pictures of unknown degradation"]
    table = by_title["Pictures of unknown degradation"]
    assert table.rows[0] == ("haze", "2", "70 %", "1.0", "2.0")
    assert table.rows[-1][:2] == ("**all**", "3") and table.total


def test_a_bar_inside_a_cell_is_no_new_column():
    assert markdown_table(("a", "b"), [("x|y", "z")]).splitlines()[-1] == r"| x\|y | z |"
    assert "### Title\n\nNote.\n\n| a |" in to_markdown([Table("Title", "Note.", ("a",), (("x",),))])


def test_kinds_have_a_table_where_a_label_has_several(make_result, tables):
    results = [
        make_result("noise", "noise", kinds=("poisson",)),
        make_result("noise", "no", kinds=("poisson",)),
        make_result("noise", "noise", kinds=("banding",)),
    ]
    assert tables(results)["By kind"].rows == (
        ("noise", "banding", "1", "100 %", "+5.00"),
        ("noise", "poisson", "2", "50 %", "+5.00"),
    )
    assert "By kind" not in tables(results[:2]), "one kind for all is the single table again"
