"""The public names of the core, which scripts rely on, and that importing it is light."""

from __future__ import annotations

import subprocess
import sys

import pytest

import autodir_core as ad
from tests.conftest import ROOT


def test_every_public_name_is_there_and_has_one_module():
    assert sorted(ad.MODULES) == sorted(ad.__all__)
    assert all(getattr(ad, name) is not None for name in ad.__all__)
    assert set(dir(ad)) == {*ad.__all__, "__version__"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'autodir_core' has no attribute 'restoration'"):
        _ = ad.restoration


def test_without_packages_a_name_says_what_to_install():
    code = "import autodir_core as ad\ntry: ad.load_autodir\nexcept ad.AutoDIRError as error: print(error)"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("the package ") and "run.py" in line and "-m pip install" in line


def test_importing_the_core_loads_nothing_that_is_installed():
    """Help texts need nothing but Python, and ComfyUI starts quickly."""
    code = "import sys, autodir_core; print(*{m.split('.')[0] for m in sys.modules} - sys.stdlib_module_names)"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"__main__", "autodir_core"}
