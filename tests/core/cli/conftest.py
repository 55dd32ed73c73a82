"""Fixtures of the commands: a picture, the tiny golden model, a check of refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.cli.helpers import call, saved


@pytest.fixture
def picture(tmp_path) -> Path:
    return saved(tmp_path / "in" / "photo.png", seed=1)


@pytest.fixture
def loaded(monkeypatch, tiny):
    """Every command finds the tiny model already loaded."""
    monkeypatch.setattr("autodir_core.model.load_autodir", lambda *chosen, **options: tiny)
    return tiny


@pytest.fixture
def refused(capsys):
    """Runs a command that must end with one line of error and exit code 2; the line."""

    def run(*argv: object) -> str:
        assert call(*argv) == 2
        shown = capsys.readouterr().err.splitlines()
        assert len(shown) == 1
        assert shown[0].startswith("autodir: error: ")
        return shown[0]

    return run
