"""Restorations made by hand."""

from __future__ import annotations

import pytest
import torch

from autodir_core.outputs import Restoration, Round

LABELS = ("noise", "haze", "low resolution", "no")


def flat(value: float, height: int = 40, width: int = 60, batch: int = 1) -> torch.Tensor:
    return torch.full((batch, height, width, 3), value)


def a_round(label: str | None, probabilities: list[float], value: float = 0.5) -> Round:
    return Round((label,), torch.tensor([probabilities]), flat(value + 0.1), flat(value + 0.05), flat(value))


@pytest.fixture
def two_rounds() -> Restoration:
    """Haze, then noise, then clean; "haze" and "noise" were asked about no more."""
    rounds = [a_round("haze", [0.09, 0.62, 0.2, 0.09]), a_round("noise", [0.6, 0.0, 0.004, 0.396], 0.6)]
    return Restoration(flat(0.7), rounds, ("clean",), LABELS, torch.tensor([[0.0, 0.0, 0.29, 0.71]]))


@pytest.fixture
def batch() -> Restoration:
    """The first picture is clean at once; the second has one round, the only one allowed."""
    rounds = [
        Round(
            (None, "noise"),
            torch.tensor([[0.0] * 4, [0.5, 0.3, 0.1, 0.1]]),
            flat(0.2, batch=2),
            flat(0.3, batch=2),
            flat(0.3, batch=2),
        )
    ]
    last = torch.tensor([[0.1, 0.0, 0.0, 0.9], [0.5, 0.3, 0.1, 0.1]])
    return Restoration(flat(0.4, batch=2), rounds, ("clean", "max_rounds"), LABELS, last)


@pytest.fixture
def unsure() -> Restoration:
    """Haze, then nothing that is probable enough."""
    rounds = [a_round("haze", [0.09, 0.62, 0.2, 0.09])]
    return Restoration(flat(0.7), rounds, ("low_confidence",), LABELS, torch.tensor([[0.38, 0.0, 0.32, 0.3]]))


@pytest.fixture
def in_words() -> Restoration:
    return Restoration(flat(0.7), [Round((None,), None, flat(0.5), flat(0.6), flat(0.6))], ("prompt",))
