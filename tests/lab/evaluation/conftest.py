"""Small pictures and hand-made cases, which the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from autodir_lab.evaluation import Case, Quality


@pytest.fixture
def picture() -> Callable[..., torch.Tensor]:
    """Random pictures [1, size, size, 3] by seed."""
    return lambda seed, size=64: torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def case() -> Callable[..., Case]:
    """A case: what was done, what was seen, PSNR before (None: no truth) and after; anything else by name."""

    def make(label: str, seen: str, before: float | None = 20.0, after: float = 25.0, **fields) -> Case:
        known = {"photo": "photo", "crop": 0, "severity": 0.5, "probability": 0.9, "stopped": "clean"}
        if before is not None:
            known |= {"before": Quality(before, 0.5), "after": Quality(after, 0.75)}
        return Case(labels=tuple(label.split(" + ")) if label else (), seen=seen, **(known | fields))

    return make
