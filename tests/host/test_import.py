"""How long the pack keeps ComfyUI from starting."""

from __future__ import annotations

import subprocess
from pathlib import Path
from statistics import median

import pytest

from tests.host.server import ROOT, environment, find_comfyui, python_of

pytestmark = pytest.mark.host

IMPORT = """
import importlib.util, sys, time
from pathlib import Path
root, base = sys.argv[1:]
sys.argv = ["main.py", "--cpu", "--base-directory", base]
import comfy.options
comfy.options.enable_args_parsing()
import latent_preview, nodes
start = time.process_time()
spec = importlib.util.spec_from_file_location("autodir", Path(root, "__init__.py"), submodule_search_locations=[root])
sys.modules["autodir"] = pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
print(time.process_time() - start)
"""
"""What the pack adds to a ComfyUI that has loaded its own parts: seconds of work, whatever else the machine does."""


def seconds(comfyui: Path, base: Path) -> float:
    command = [python_of(comfyui), "-c", IMPORT, str(ROOT), str(base)]
    done = subprocess.run(command, cwd=comfyui, env=environment(), capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def test_the_start_of_comfyui_is_hardly_longer(tmp_path):
    """The median of three; the first puts the example pictures into the input folder, too."""
    comfyui = find_comfyui()
    if comfyui is None:
        pytest.skip("no ComfyUI found: set COMFYUI_PATH to its folder to run the graph tests")
    assert median(seconds(comfyui, tmp_path) for _ in range(3)) < 0.15
    assert (tmp_path / "input/autodir_sample.png").is_file()
