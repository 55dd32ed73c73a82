"""The same seed gives the same bytes: in other processes, in batches, by every door, and how far threads are apart.

The door of the nodes is compared in tests/host, with what Python gives in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import autodir_core as ad
from autodir_core.imaging.files import read_picture
from tests.conftest import ROOT
from tests.core.cli.helpers import FAST, SETTINGS, call, pixels, saved, written

MAX_DISTANCE = 1e-4
"""Between thread counts, of values in 0..1: sums over pixels are split among threads, and rounded in another order."""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return saved(tmp_path / "in" / "photo.png", height=70, width=90)


def restore_in_a_process(picture: Path, target: Path, tiny_path: Path, threads: int) -> bytes:
    """Restore by the command in a process with so many threads; the bytes of the file that it writes."""
    command = [sys.executable, "-m", "autodir_core", "restore", str(picture), "-o", str(target)]
    options = ["--model", str(tiny_path), "--seed", "7", "--quiet", *FAST]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONHASHSEED": "random"}
    subprocess.run([*command, *options], cwd=ROOT, env=environment, check=True)
    return target.read_bytes()


@pytest.mark.slow
def test_processes_and_doors(picture: Path, tmp_path: Path, tiny_path: Path, tiny: ad.AutoDIR) -> None:
    """Another process, whose hashes are others; the command here; Python."""
    first = restore_in_a_process(picture, tmp_path / "0.png", tiny_path, 1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        options = "--model", tiny_path, "--seed", 7, "--quiet", *FAST
        assert call("restore", picture, "-o", tmp_path / "1.png", *options) == 0
        here = ad.restore(tiny, read_picture(picture).image, *SETTINGS, seed=7).image
    finally:
        torch.set_num_threads(before)
    assert first == (tmp_path / "1.png").read_bytes()
    assert np.array_equal(pixels(tmp_path / "0.png"), written(here))


def test_threads(picture: Path, tiny: ad.AutoDIR, trials: int) -> None:
    """How far results with several threads are from those with one."""
    image, before, distances = read_picture(picture).image, torch.get_num_threads(), list[float]()
    try:
        for seed in range(max(trials // 100, 1)):
            results = []
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                results.append(ad.restore(tiny, image, *SETTINGS, seed=seed).image)
                again = ad.restore(tiny, image, *SETTINGS, seed=seed).image
                assert torch.equal(results[-1], again), "one number of threads, one result"
            distances += [(results[0] - other).abs().max().item() for other in results[1:]]
    finally:
        torch.set_num_threads(before)
    print(f"largest distance {max(distances):.1e} of {len(distances)}, {distances.count(0)} without any")
    assert max(distances) < MAX_DISTANCE


def test_batches(tiny: ad.AutoDIR, trials: int) -> None:
    images = torch.rand(5, 40, 56, 3, generator=torch.Generator().manual_seed(1))
    alone = [ad.restore(tiny, images[i : i + 1], *SETTINGS, seed=100 + i).image for i in range(5)]
    for size in range(2, 6):
        together = ad.restore(tiny, images[:size], *SETTINGS, seed=100).image
        assert torch.equal(together, torch.cat(alone[:size]))
