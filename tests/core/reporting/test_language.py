"""The languages of reports: every template has its Chinese, with the same values to fill in."""

from __future__ import annotations

import ast
import string
from pathlib import Path

import pytest

from autodir_core.errors import InputError
from autodir_core.reporting import language, restoration_page, summary
from autodir_core.stages import quality_gate


def fields(template: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(template)} - {None}


def literals(module) -> set[str]:
    """All texts in a module's code that are templates of the report."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def phrases(module) -> set[str]:
    """The texts that a module passes to `phrase` directly."""
    calls = [node for node in ast.walk(ast.parse(Path(module.__file__).read_text())) if isinstance(node, ast.Call)]
    direct = [call.args[1] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "phrase"]
    return {node.value for node in direct if isinstance(node, ast.Constant)}


def test_every_template_has_its_chinese():
    used = phrases(summary) | phrases(restoration_page)
    used |= {*summary.ASSESSED_ENDS.values(), *summary.OTHER_ENDS.values()}
    assert len(used) > 20 and used <= language.CHINESE.keys()


def test_no_chinese_is_left_over():
    known = literals(summary) | literals(restoration_page) | literals(quality_gate) | {"Settings"}
    assert language.CHINESE.keys() <= known


@pytest.mark.parametrize("template", language.CHINESE)
def test_both_languages_fill_in_the_same_values(template):
    assert fields(template) == fields(language.CHINESE[template])


def test_another_language_is_refused():
    with pytest.raises(InputError, match="unknown language 'fr'"):
        language.phrase("fr", "Settings")


def test_a_model_s_own_label_stays_as_it_is():
    assert language.label_name("lens flare", "zh") == "lens flare"
    assert language.label_name("rain", "zh") == "雨 rain"
