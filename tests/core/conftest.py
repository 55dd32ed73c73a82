"""Pictures for the tests of the degradations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def scene() -> Tensor:
    """Four pictures with edges and texture at several scales: [4, 96, 128, 3] in 0..1."""
    generator = torch.Generator().manual_seed(7)
    total = torch.zeros(4, 3, 96, 128)
    for cells, weight in ((3, 0.5), (12, 0.3), (48, 0.15)):
        coarse = torch.rand(4, 3, cells, cells, generator=generator)
        total += weight * torch.nn.functional.interpolate(coarse, size=(96, 128), mode="nearest")
    return total.movedim(1, -1).contiguous()
