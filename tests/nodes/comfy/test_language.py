"""The language of the nodes' reports: the page's, where a user chose it."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def language(comfy):
    return comfy("language")


@pytest.fixture
def settings(language, tmp_path, monkeypatch):
    monkeypatch.setattr(language.folder_paths, "get_user_directory", lambda: str(tmp_path))
    path = tmp_path / language.SETTINGS
    path.parent.mkdir()
    return path


@pytest.mark.parametrize(("locale", "spoken"), [("zh", "zh"), ("zh-TW", "zh"), ("en", "en"), ("fr", "en"), (3, "en")])
def test_the_chosen_language(language, settings, locale, spoken):
    settings.write_text(json.dumps({"Comfy.Locale": locale}))
    assert language.report_language() == spoken


@pytest.mark.parametrize("text", ["", "[]", "{}", "null"])
def test_a_settings_file_that_says_nothing(language, settings, text):
    settings.write_text(text)
    assert language.report_language() == "en"


def test_no_settings_yet(language, settings):
    assert language.report_language() == "en"


def test_a_report_speaks_it(settings, node, model, photo):
    settings.write_text(json.dumps({"Comfy.Locale": "zh"}))
    (lines,) = node("Assess").assess(model, photo, "noise\nno")["ui"]["text"]
    assert sorted(line.split(" ")[0] for line in lines.splitlines()) == ["噪点", "无退化"]
