"""Fixtures of the client: photos, a client with short pauses."""

from __future__ import annotations

from pathlib import Path

import pytest

from autodir_client import server, worker
from tests.client.helpers.session import Client


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(worker, "INITIAL_BACKOFF", 0.01)
    monkeypatch.setattr(server, "POLL_SECONDS", 0.05)


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    paths = [tmp_path / "in" / f"photo{number}.png" for number in range(4)]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(path.stem.encode())
    return paths


@pytest.fixture
def client(tmp_path) -> Client:
    return Client(tmp_path / "out")
