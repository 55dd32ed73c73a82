"""Counted trials: few in the default run, as many as asked for with `--trials N --trials-seed S`."""

from __future__ import annotations

import random
from importlib.util import find_spec

import pytest

from tests.host.conftest import comfyui, photo_path, start_server

__all__ = ["comfyui", "photo_path", "rng", "start_server", "trials"]


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis try as many examples as there are trials, without a memory on the disk."""
    if find_spec("hypothesis"):
        from hypothesis import HealthCheck, settings

        count, slow = max(int(config.getoption("--trials")) // 4, 5), [HealthCheck.too_slow]
        seeded = int(config.getoption("--trials-seed")) == 0
        settings.register_profile(
            "trials", max_examples=count, deadline=None, suppress_health_check=slow, database=None, derandomize=seeded
        )
        settings.load_profile("trials")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(f"{request.node.name} {request.config.getoption('--trials-seed')}")


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--trials"))
