"""Which tests go to one process together."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT

scheduling = pytest.importorskip("tests.scheduling", reason="pytest-xdist is not installed", exc_type=ImportError)


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/host/test_loops.py::TestRounds::test_none[0.3.64]", "ComfyUI 0.3.64"),
        ("tests/host/test_memory.py::test_a_file_that_is_gone_is_named[0.33.0-LOW_VRAM]", "ComfyUI 0.33.0"),
        ("tests/hardening/comfyui/test_load.py::test_many_prompts_of_several_clients[0.3.64]", "ComfyUI 0.3.64"),
        ("tests/hardening/faults/test_kills.py::test_train", "tests/hardening/faults/test_kills.py"),
        ("tests/test_run.py::test_a[0.3.64]", "tests/test_run.py::test_a[0.3.64]"),
    ],
)
def test_tests_that_share_a_server_or_a_process(nodeid, group):
    assert scheduling.group_of(nodeid) == group


def test_the_files_are_there():
    assert all((ROOT / path).is_file() for path in scheduling.TOGETHER)
