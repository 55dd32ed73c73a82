"""Sample results with chosen numbers, which the tests of the evaluation share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autodir_lab.evaluation.evaluator import SampleImages
from autodir_lab.evaluation.protocol import Protocol
from autodir_lab.evaluation.result_store import Provenance, ResultStore
from autodir_lab.evaluation.sample_result import Quality, SampleResult


@pytest.fixture
def make_result() -> Callable[..., SampleResult]:
    """Return results by ground truth, prediction, PSNR before (None: no reference) and after; other fields by name."""

    def make(
        ground_truth: str, predicted: str, before: float | None = 20.0, after: float = 25.0, **fields
    ) -> SampleResult:
        known = {"photo": "photo", "crop": 0, "severity": 0.5, "probability": 0.9, "stopped": "clean"}
        if before is not None:
            known |= {"before": Quality(before, 0.5), "after": Quality(after, 0.75)}
        labels = tuple(ground_truth.split(" + ")) if ground_truth else ()
        return SampleResult(labels=labels, predicted=predicted, **(known | fields))

    return make


@pytest.fixture
def results(make_result) -> list[SampleResult]:
    """Two restored samples and a clean one."""
    return [
        make_result("noise", "noise", 10, 16, rounds=("noise", "haze"), psnr_per_round=(15.0, 16.0), seconds=1.5),
        make_result("haze", "no", 12, 11, baselines={"dark channel": Quality(15, 0.6, 0.1)}),
        make_result("no", "no", 100, 100, severity=None),
    ]


@pytest.fixture
def images(random_image) -> SampleImages:
    """The images of one sample."""
    return SampleImages(random_image(0, 32), random_image(1, 32), random_image(2, 32))


@pytest.fixture
def provenance() -> Provenance:
    """Made-up settings."""
    protocol = Protocol(severity=(0.0, 1.0))
    return Provenance("mini", "abc", "cpu", "float32", {"torch": "2"}, "photos", protocol, "not measured")


@pytest.fixture
def store(tmp_path: Path, results, images, provenance) -> ResultStore:
    """A folder with all of `results`."""
    store = ResultStore(tmp_path / "out")
    assert store.open(provenance) == []
    for result in results:
        store.append(result, images)
    return store
