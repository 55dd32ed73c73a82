"""Every command that writes results, on a disk that is full: lines that name the file, and nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from autodir_core.errors import InputError
from autodir_core.imaging.files import read_picture
from autodir_core.serialization.atomic import atomic_path
from autodir_core.serialization.temporary import is_temporary
from tests.client.helpers.fake import WORKFLOW, Fake
from tests.core.cli.helpers import FAST, call, saved
from tests.hardening.faults.test_disks import disk, needs_root, told
from tests.hardening.faults.test_kills import fake, training

__all__ = ["disk", "fake", "training"]
pytestmark = [needs_root, pytest.mark.parametrize("disk", ["full"], indirect=True)]

QUICK = (*FAST, "--quiet")
SMALL = ("--size", 48, "--crops-per-photo", 1)
ONCE = ("--steps", 1, "--max-rounds", 1, "--device", "cpu", "--no-lpips", "--quiet")
STUDY = ("restoration", "--seeds", 0, "--sampling-steps", 1, "--size", 32, "--crops-per-photo", 1, "--device", "cpu")

Command = Callable[[Path, Path], list[object]]
COMMANDS: dict[str, Command] = {
    "restore": lambda here, out: ["restore", here / "in", "-o", out, "--montage", "--save-rounds", *QUICK],
    "restore --report": lambda here, out: ["restore", here / "in", "-o", out, "--report", *QUICK],
    "assess": lambda here, out: ["assess", here / "in", "--map", out, "--device", "cpu"],
    "batch": lambda here, out: ["batch", here / "in", "-o", out, *QUICK],
    "batch --assess-only": lambda here, out: ["batch", here / "in", "-o", out, "--assess-only", "--device", "cpu"],
    "evaluate": lambda here, out: ["evaluate", here / "in", "-o", out, *SMALL, *ONCE],
    "study": lambda here, out: ["study", *STUDY, "--photos", here / "in", "-o", out],
    "train": lambda here, out: ["train", "scm", "-o", out],
    "teach": lambda here, out: ["teach", "mist", "--pairs", here / "pairs/noise", "-o", out],
    "comfy run": lambda here, out: ["comfy", "run", here / "flow.json", "--input", f"image={here / 'in'}", "-o", out],
}


@pytest.fixture
def options(tmp_path: Path, tiny_path: Path, training: list[object], fake: Fake) -> Callable[[str], list[object]]:
    """What the commands need besides, by name; and the files that they are given."""
    for number in range(2):
        saved(tmp_path / "in" / f"{number}.png", seed=number)
    (tmp_path / "flow.json").write_text(json.dumps(WORKFLOW))
    more = {"train": training, "teach": training, "comfy run": ["--server", fake.url]}
    return lambda name: [*more.get(name, []), *([] if name == "comfy run" else ["--model", tiny_path])]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_told_with_the_name_of_the_file(
    name: str,
    disk: Path,
    tmp_path: Path,
    options: Callable[[str], list[object]],
    trials: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name == "study" and trials <= 200:
        pytest.skip("a study takes long; its files are written as those of the others are")
    code = call(*COMMANDS[name](tmp_path, disk / "out"), *options(name))
    lines = told(capsys)
    assert code in (1, 2)
    assert lines and all(f"{disk}/" in line or "pictures failed" in line for line in lines), lines
    left = [path for path in disk.rglob("*") if path.is_file()]
    assert not any(is_temporary(path) for path in left)
    assert all(read_picture(path) for path in left if path.suffix in (".png", ".jpg"))
    assert all(json.loads(path.read_text()) for path in left if path.suffix == ".json")


def test_one_picture_that_does_not_fit_costs_no_other(
    disk: Path, tmp_path: Path, options: Callable[[str], list[object]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The report of the first takes what is left; a smaller one still fits."""
    (disk / "filler").write_bytes(bytes(200 * 1024))
    saved(tmp_path / "in" / "0.png", height=300, width=300)
    command = "restore", tmp_path / "in", "-o", disk / "out", "--labels", "no", "--quiet", "--device", "cpu"
    assert call(*command, *options("restore")) == 1
    assert any("0_restored.png: No space left on device" in line for line in told(capsys))
    assert [path.name for path in (disk / "out").iterdir()] == ["1_restored.png"]


def test_a_batch_ends_and_goes_on_once_there_is_room(
    disk: Path, tmp_path: Path, options: Callable[[str], list[object]], capsys: pytest.CaptureFixture[str]
) -> None:
    """What its networks would make of the others would be lost too; with the journal elsewhere it can be written."""
    command = [
        "batch",
        tmp_path / "in",
        "-o",
        disk / "out",
        "--journal",
        tmp_path / "journal",
        *QUICK,
        *options("batch"),
    ]
    assert call(*command) == 2
    lines = told(capsys)
    assert any(".png: No space left on device; free space there" in line for line in lines) and len(lines) == 2, lines
    assert "run the same command again" in lines[0] + lines[1]
    (disk / "filler").unlink()
    assert call(*command) == 0
    assert {"0.png", "1.png"} < {path.name for path in (disk / "out").iterdir()}


def test_the_writer_of_whole_files_names_them(disk: Path) -> None:
    words = r"a\.bin: No space left on device; free space"
    with pytest.raises(InputError, match=words), atomic_path(disk / "a.bin") as file:
        file.write_bytes(bytes(300_000))
    assert [path.name for path in disk.iterdir()] == ["filler"]
