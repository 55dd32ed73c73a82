"""The set-up of a ComfyUI for the tests."""

from __future__ import annotations

import pytest

from scripts import host


def test_what_is_installed() -> None:
    lines = [
        "torch",
        "torchaudio # with torch",
        "",
        "# a comment",
        "torchsde",
        "aiohttp>=3.11",
        "comfyui-embedded-docs==0.3.0",
    ]
    assert host.wanted(lines) == ["torchsde", "aiohttp>=3.11"]


def test_a_folder_without_comfyui_is_refused(tmp_path) -> None:
    with pytest.raises(SystemExit, match=r"holds no ComfyUI \(main.py\)"):
        host.main([str(tmp_path)])
