"""Places that cannot be written: full, read-only, gone, or of too long a name: one line, and nothing half-written."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import autodir_core.imaging.files
from autodir_core.errors import InputError
from autodir_core.imaging.files import read_picture
from autodir_lab.training.engine.export import write_checkpoint
from tests.core.cli.helpers import FAST, call, names_in, saved

QUICK = (*FAST, "--quiet")
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture(params=["full", "read-only"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A small file system that holds nothing more, or may not be written."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        if request.param == "full":
            (place / "filler").write_bytes(bytes(248 * 1024))
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield place
    finally:
        gc.collect()  # the traceback of an error may hold a file that was open there
        subprocess.run(["umount", str(place)], check=True)


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of error, of which none is of a traceback."""
    lines = capsys.readouterr().err.splitlines()
    assert lines and not any("Traceback" in line for line in lines)
    return [line for line in lines if line.startswith("autodir: ")]


@needs_root
def test_a_disk_that_takes_nothing(
    disk: Path, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names_in(disk)
    large = saved(tmp_path / "in" / "a.png", height=300, width=300), saved(tmp_path / "in" / "b.png")
    model = "--model", tiny_path
    assert call("restore", large[0], "-o", disk / "o.png", *model, *QUICK) == 2
    assert call("convert", tiny_path, disk / "o.safetensors") == 2
    assert call("degrade", tmp_path / "in", "-o", disk / "out", "--label", "noise", "--quiet") in (1, 2)
    assert call("bench", *model, "--size", "64x64", "-o", disk / "bench", "--device", "cpu") in (1, 2)
    lines = told(capsys)
    assert len(lines) >= 4 and all("error: " in line or "failed" in line for line in lines)
    assert [name for name in names_in(disk) if not (disk / name).is_dir()] == [name for name in before]
    for folder in (disk / "out", disk / "bench"):
        assert all(read_picture(folder / name) for name in names_in(folder) if name.endswith(".png"))


@needs_root
def test_weights_that_do_not_fit(disk: Path) -> None:
    """What a training writes."""
    before = names_in(disk)
    with pytest.raises(InputError, match="cannot write"):
        write_checkpoint(disk / "a.ckpt", {"SCM.intro.weight": torch.zeros(100_000)})
    assert names_in(disk) == before


@needs_root
@pytest.mark.parametrize("disk", ["full"], indirect=True)
def test_what_fits_is_done_and_the_rest_is_told(
    disk: Path, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (disk / "filler").write_bytes(bytes(200 * 1024))
    saved(tmp_path / "in" / "1.png")
    saved(tmp_path / "in" / "2.png", height=300, width=300)
    saved(tmp_path / "in" / "3.png", seed=2)
    assert call("degrade", tmp_path / "in", "-o", disk / "out", "--label", "noise", "--quiet") == 1
    assert names_in(disk / "out") == ["1_degraded.png", "3_degraded.png"]
    assert any("2_degraded.png" in line or "No space" in line for line in told(capsys))
    (disk / "filler").unlink()
    (disk / "filler").write_bytes(b"")
    saved(tmp_path / "in" / "2.png", height=100, width=100)
    assert call("degrade", tmp_path / "in", "-o", disk / "out", "--label", "noise", "--quiet") == 0
    assert names_in(disk / "out") == ["1_degraded.png", "2_degraded.png", "3_degraded.png"]


def test_names_that_are_too_long(tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = saved(tmp_path / "in" / "a.png")
    for target in (
        tmp_path / f"{'x' * 300}.png",
        tmp_path / ("x" * 300) / "o.png",
        tmp_path / "/".join(["y" * 200] * 30),
    ):
        assert call("restore", photo, "-o", target, "--model", tiny_path, *QUICK) == 2
        assert call("degrade", photo, "-o", target, "--label", "noise") == 2
    assert call("convert", tiny_path, tmp_path / f"{'x' * 300}.safetensors") == 2
    assert call("restore", tmp_path / f"{'x' * 5000}.png", "-o", tmp_path / "o.png", *QUICK) == 2
    assert len(told(capsys)) == 8
    assert names_in(tmp_path / "in") == ["a.png"]


def test_folders_that_vanish(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first picture is read the folder of results goes, with the second one that of the sources."""
    for number in range(3):
        saved(tmp_path / "in" / f"{number}.png", seed=number)
    read, out = autodir_core.imaging.files.read_picture, tmp_path / "out"

    def vanish(path: Path) -> autodir_core.imaging.files.Picture:
        picture = read(path)
        shutil.rmtree(out if path.name == "0.png" else tmp_path / "in")
        return picture

    monkeypatch.setattr("autodir_core.imaging.files.read_picture", vanish)
    assert call("degrade", tmp_path / "in", "-o", out, "--label", "noise", "--quiet") == 1
    assert names_in(out) == ["0_degraded.png", "1_degraded.png"]
    assert [("2.png" in line or "1 of 3" in line) for line in told(capsys)] == [True, True]
