"""Broken packages: the user learns in one line which one fails, why, and how to mend it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from autodir_core.errors import AutoDIRError, PackageError
from autodir_core.networks.build import build_clip, build_vae
from autodir_core.networks.config import VAEConfig
from autodir_core.optional_imports import optional_import
from autodir_core.stages.conditioning import tokenizer
from autodir_lab.training.recipes.recipe import read_recipe

ROOT = Path(__file__).resolve().parents[2]
WRAPPED = """
try:
    import {inner}
except Exception as error:
    raise RuntimeError(f"Failed to import things because of the following error:\\n{{error}}") from error
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package whose import runs the given code."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name: str, code: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
        importlib.invalidate_caches()
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


def message_of(name: str) -> str:
    with pytest.raises(PackageError) as caught, optional_import(name):
        importlib.import_module(name)
    assert caught.value.__cause__ is not None, "the whole story must stay in the log"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_package_deep_below_is_blamed_with_the_last_line_of_its_error(package):
    package("fake_audio", 'raise RuntimeError("Compiled for\\nanother CUDA: 13.2 against 12.8.\\n")')
    package("fake_transformers", WRAPPED.format(inner="fake_audio"))
    package("fake_diffusers", WRAPPED.format(inner="fake_transformers"))
    message = message_of("fake_diffusers")
    assert message.startswith(
        "fake_diffusers cannot be imported because fake_audio fails: RuntimeError: another CUDA: 13.2 against 12.8. "
    )
    assert message.endswith(f"{sys.executable} -m pip install --upgrade --force-reinstall --no-deps fake_audio")


@pytest.mark.parametrize(
    "load",
    ["import ctypes; ctypes.CDLL({library!r})", "import torch; torch.ops.load_library({library!r})"],
    ids=["ctypes", "torch"],
)
def test_who_asks_for_a_library_is_blamed_not_who_loads_it(package, tmp_path, load):
    package("fake_vision", load.format(library=str(tmp_path / "libfake.so")))
    package("fake_diffusers", "import fake_vision")
    message = message_of("fake_diffusers")
    assert "because fake_vision fails: OSError: " in message and "libfake.so" in message
    assert message.endswith("--no-deps fake_vision")


def test_a_missing_package_is_to_be_installed(package):
    package("fake_diffusers", "import fake_missing.part")
    assert message_of("fake_diffusers") == (
        "fake_diffusers cannot be imported: No module named 'fake_missing'. Install it in this Python: "
        f"{sys.executable} -m pip install fake_missing"
    )


@pytest.mark.parametrize("code", ["from fake_hub import gone", "import fake_hub.gone"])
def test_a_part_that_another_version_has_asks_for_another_version(package, code):
    package("fake_hub", "")
    package("fake_diffusers", code)
    message = message_of("fake_diffusers")
    assert "because fake_hub fails: " in message and message.endswith("--force-reinstall --no-deps fake_hub")


@pytest.mark.parametrize("code", ["from torch import gone", "import asyncio.gone"])
def test_what_every_python_and_every_host_has_is_not_blamed(package, code):
    package("fake_hub", code)
    package("fake_diffusers", "import fake_hub")
    message = message_of("fake_diffusers")
    assert "because fake_hub fails: " in message and message.endswith("--force-reinstall --no-deps fake_hub")


def test_an_error_of_the_package_itself_blames_nobody_else(package):
    package("fake_diffusers", "raise ImportError")
    message = message_of("fake_diffusers")
    assert message.startswith("fake_diffusers cannot be imported: ImportError: no message. Reinstall")


def test_the_command_has_the_name_that_pip_knows_and_a_path_that_a_shell_reads(package, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/My Apps/python")
    package("fake_diffusers", "import PIL.gone")
    assert (
        message_of("fake_diffusers")
        .lower()
        .endswith('"/my apps/python" -m pip install --upgrade --force-reinstall --no-deps pillow')
    )


def test_the_alternative_ends_the_message():
    refusal = pytest.raises(PackageError, match=r"-m pip install opencv-python-headless, or leave --baselines out$")
    with refusal, optional_import("cv2", alternative="leave --baselines out"):
        raise ModuleNotFoundError("No module named 'cv2'", name="cv2")


def test_an_import_that_works_is_left_alone():
    with optional_import("json"):
        import json
    assert json.loads("1") == 1


class TestWhereTheNetworksComeFrom:
    @pytest.fixture
    def hidden(self, monkeypatch):
        """Lets an installed package, and what was imported of it, be missing."""

        def hide(name: str) -> None:
            def find_spec(module: str, *given) -> None:
                if module == name:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

            for module in [known for known in sys.modules if known.partition(".")[0] == name]:
                monkeypatch.delitem(sys.modules, module)
            monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=find_spec), *sys.meta_path])

        return hide

    def test_diffusers(self, hidden):
        hidden("diffusers")
        with pytest.raises(PackageError, match=r"diffusers cannot be imported.*pip install diffusers$"):
            build_vae(VAEConfig(channels=(32,), blocks=1, latent_channels=4))

    def test_open_clip(self, hidden):
        hidden("open_clip")
        with pytest.raises(PackageError, match=r"open_clip cannot be imported.*pip install open_clip_torch$"):
            build_clip(read_recipe("mini").config.clip)

    def test_the_tokenizer(self, hidden):
        hidden("open_clip")
        tokenizer.cache_clear()
        with pytest.raises(AutoDIRError, match=r"pip install open_clip_torch$"):
            tokenizer()


def test_the_command_line_shows_one_line(tmp_path):
    """The real diffusers above a broken package that it needs."""
    (tmp_path / "huggingface_hub.py").write_text('raise OSError("libhub.so: cannot open shared object file")')
    done = subprocess.run(
        [sys.executable, "-m", "autodir_core", "assess", "autodir_core/assets/sample.png"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "because huggingface_hub fails: OSError: libhub.so: cannot open shared object file" in done.stderr
