"""What all tests share: the tiny golden model, the recorded arrays, and a root folder that pytest does not import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import autodir_core
from tests.golden_weights import weights

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).parent / "golden"


class RootIsNoPackage:
    """A plug-in of its own, because the hooks of a conftest do not reach the folder above it."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-contract", action="store_true", help="rewrite tests/nodes/contract.json")
    parser.addoption("--memory-runs", type=int, default=18, help="runs on a ComfyUI whose memory has to stay flat")
    parser.addoption("--trials", type=int, default=200, help="files that each test of tests/hardening makes")
    parser.addoption("--trials-seed", type=int, default=0, help="of everything random there")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(RootIsNoPackage())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes share the tests, and nobody chose how."""
    if config.getvalue("dist") != "load":
        return None
    from tests.scheduling import Scheduling  # needs pytest-xdist

    return Scheduling(config, log)


MISSING = {
    "no ComfyUI found": "tests on a real ComfyUI were SKIPPED: scripts/host.py sets one up, COMFYUI_PATH names it",
    "comfy-cli is not installed": "tests of comfy-cli were SKIPPED: pip install comfy-cli, outside of this environment",
}
"""Words of a reason for skipping -> what is then said at the end of the run."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()) if report.longrepr]
    for reason, words in MISSING.items():
        if skipped := sum(reason in each for each in reasons):
            terminalreporter.section(f"{skipped} {words}", red=True, bold=True)


def tiny_state() -> dict[str, torch.Tensor]:
    """The official classes at small size with seeded weights, under the official names (see golden/)."""
    manifest = json.loads((GOLDEN / "manifest.json").read_text(encoding="utf-8"))
    tweaks = json.loads((GOLDEN / "tweaks.json").read_text(encoding="utf-8"))
    return {key: torch.tensor(values) for key, values in weights(manifest, tweaks)}


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the tiny golden model."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    heads = {"unet_heads": 4, "text_heads": 4, "vision_heads": 4}
    save_file(tiny_state(), path, metadata={"autodir": json.dumps(heads)})
    return path


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> autodir_core.AutoDIR:
    """The tiny golden model on the CPU in float32."""
    return autodir_core.load_autodir(tiny_path, device="cpu")


@pytest.fixture(scope="session")
def golden() -> Golden:
    """The arrays recorded from the official implementation."""
    return Golden()


class Golden:
    """Arrays of golden/<name>.npz by key, as tensors."""

    def __call__(self, name: str) -> dict[str, torch.Tensor]:
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    def photo(self, name: str) -> torch.Tensor:
        """An input picture as [1, H, W, 3] in 0..1."""
        return self("inputs")[name][None].float() / 255
