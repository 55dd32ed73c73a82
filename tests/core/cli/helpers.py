"""What the tests of the commands share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

import autodir_core
from autodir_core.cli import main
from tests.golden_weights import photo

FAST = ("--steps", "2", "--max-rounds", "2", "--no-gate", "--device", "cpu")
SETTINGS = autodir_core.LoopSettings(max_rounds=2), autodir_core.SamplerSettings(steps=2)


def call(*argv: object) -> int:
    return main([str(value) for value in argv])


def saved(path: Path, *, height: int = 48, width: int = 64, seed: int = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(photo(height, width, seed)).save(path)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def written(image: torch.Tensor) -> np.ndarray:
    """What a PNG of [1, H, W, 3] holds."""
    return (image[0].clamp(0, 1) * 255).round().byte().numpy()
