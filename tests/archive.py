"""What the registry's archive of the pack holds: the files of the repository that .comfyignore does not leave out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def archived_files() -> list[Path]:
    """The files of the archive, relative to `ROOT`; CalledProcessError where this is no checkout of git."""

    def listed(*options: str) -> set[str]:
        command = ["git", "ls-files", "-z", "--cached", *options]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, encoding="utf-8")
        return set(filter(None, done.stdout.split("\0")))

    ignored = listed("--ignored", "--exclude-from=.comfyignore")
    return sorted(Path(name) for name in listed() - ignored if (ROOT / name).is_file())


def unpack_archive(target: Path) -> None:
    """Copy the archive's files to a folder, as the Manager unpacks it."""
    for path in archived_files():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target / path)
