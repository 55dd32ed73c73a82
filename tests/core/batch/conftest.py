from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autodir_core.batch.journal import Journal
from autodir_core.batch.planning.item import Item


@pytest.fixture
def journal(tmp_path: Path, items: list[Item]) -> Iterator[Journal]:
    """A journal of the test's own items, in the folder `out`."""
    one = Journal(tmp_path / "out")
    one.add(items)
    yield one
    one.close()
