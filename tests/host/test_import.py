"""What the pack makes ComfyUI load when it starts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.host.server import ROOT, environment, python_of

pytestmark = pytest.mark.host

IMPORT = """
import importlib.util, sys
from pathlib import Path
root, base = sys.argv[1:]
sys.argv = ["main.py", "--cpu", "--base-directory", base]
import comfy.options
comfy.options.enable_args_parsing()
import utils.install_util  # before nodes puts another utils in front
import latent_preview, nodes, server
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("autodir", Path(root, "__init__.py"), submodule_search_locations=[root])
sys.modules["autodir"] = pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""
"""Prints the packages of which the pack loads something that a ComfyUI with its own parts has not."""

HEAVY = {"diffusers", "open_clip", "transformers", "torchvision", "accelerate", "ftfy", "skimage", "cv2", "sklearn"}
"""What takes seconds to load: the first restoration is early enough, and most graphs never need it."""


def newly_loaded(comfyui: Path, base: Path) -> set[str]:
    command = [python_of(comfyui), "-c", IMPORT, str(ROOT), str(base)]
    done = subprocess.run(command, cwd=comfyui, env=environment(), capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_start_of_comfyui_waits_for_nothing_heavy(comfyui, tmp_path):
    loaded = newly_loaded(comfyui, tmp_path)
    assert "autodir" in loaded and not loaded & HEAVY
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], "importing the pack writes nothing"
