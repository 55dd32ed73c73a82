"""ComfyUI's folders: model files, the output folder, preview images, example pictures."""
# pyright: reportMissingImports=false

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import folder_paths
from torch import Tensor

from nodes import PreviewImage  # pyright: ignore[reportAttributeAccessIssue] - ComfyUI's, not this folder

from ...autodir_core.errors import AutoDIRError, InputError
from ...autodir_core.serialization.atomic import atomic_path

FOLDER = "autodir"
"""Name of the model folder, in `models/` and in a user's extra_model_paths.yaml."""

EXTENSIONS = {".safetensors", ".sft", ".ckpt", ".pt", ".pth"}

ASSETS = Path(__file__).parents[2] / "autodir_core/assets"

EXAMPLES = {"autodir_sample.png": "sample.png", "autodir_dark.png": "dark.png", "autodir_clean.png": "clean.png"}
"""The pictures of the shared workflows: their names in the input folder and among the core's assets."""


def register_model_folder() -> None:
    """Add `models/autodir` to the model folders; folders and extensions that the user configured stay."""
    folder_paths.add_model_folder_path(FOLDER, os.path.join(folder_paths.models_dir, FOLDER))
    folder_paths.folder_names_and_paths[FOLDER][1].update(EXTENSIONS)


def copy_examples(names: Iterable[Any]) -> list[str]:
    """Copy the example pictures among `names` to the input folder; return those that were missing there."""
    folder = Path(folder_paths.get_input_directory())
    wanted = {name for name in names if isinstance(name, str)} & EXAMPLES.keys()
    missing = [name for name in sorted(wanted) if not (folder / name).exists()]
    try:
        for name in missing:
            with atomic_path(folder / name) as temporary:
                shutil.copyfile(ASSETS / EXAMPLES[name], temporary)
    except (AutoDIRError, OSError) as error:
        logging.warning("AutoDIR: cannot copy the example picture for Load Image: %s", error)
        return []
    return missing


def model_files() -> list[str]:
    """Return the names of the weights files in the model folders."""
    return folder_paths.get_filename_list(FOLDER)


def model_path(name: str) -> str:
    """Return the path of one of `model_files`; raises FileNotFoundError when it is gone."""
    return folder_paths.get_full_path_or_raise(FOLDER, name)


def save_previews(images: Tensor) -> list[dict[str, str]]:
    """Save images [B, H, W, 3] to the temp folder and return the "images" of a node's "ui"."""
    return PreviewImage().save_images(images)["ui"]["images"]


def output_path(prefix: str, suffix: str) -> Path:
    """Return the path of a new output file, such as "report_00001_.txt" for "report" and ".txt".

    Raises InputError for a prefix that leads out of the output folder, which ComfyUI refuses in a page of text.
    """
    output = os.path.abspath(folder_paths.get_output_directory())
    if not Path(os.path.abspath(os.path.join(output, prefix))).is_relative_to(output):
        raise InputError(f"filename_prefix must stay in the output folder, got {prefix!r}")
    folder, name, first, *_ = folder_paths.get_save_image_path(prefix, output)
    numbered = (Path(folder, f"{name}_{number:05}_{suffix}") for number in itertools.count(first))
    # ComfyUI counts from 1 again for a prefix that ends in a slash
    return next(path for path in numbered if not path.exists())
