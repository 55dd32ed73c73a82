"""The folder of one evaluation, written case by case, so that an interrupted run goes on where it was."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from autodir_core.errors import InputError
from autodir_core.imaging.files import write_picture
from autodir_core.imaging.paths import atomic_path

from .contact_sheet import strip
from .measure import Pictures
from .provenance import Provenance
from .sample_result import Case, case_from_json

CASES, PICTURES = "cases.jsonl", "pictures"
QUALITY = 90
"""JPEG quality of the kept pictures."""


@dataclass(frozen=True)
class Ledger:
    """The cases of a folder, and a small picture of each."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / CASES

    def open(self, provenance: Provenance) -> list[Case]:
        """The cases that are there already; a new folder is begun.

        Raises InputError where they were measured with other settings.
        """
        if self.folder.is_file():
            raise InputError(f"--output must be a folder, {self.folder} is a file")
        head, *lines = self.whole_lines() or [""]
        if not head:
            self.write([json.dumps(provenance.settings())])
            return []
        self.check(json.loads(head), provenance)
        self.write([head, *lines])
        return [case_from_json(json.loads(line)) for line in lines]

    def whole_lines(self) -> list[str]:
        """Without what an interruption left of a last line."""
        if not self.path.is_file():
            return []
        return [line for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]

    def write(self, lines: Sequence[str]) -> None:
        with atomic_path(self.path) as temporary:
            temporary.write_text("".join(line.rstrip("\n") + "\n" for line in lines), encoding="utf-8")

    def check(self, before: dict[str, str], provenance: Provenance) -> None:
        now = provenance.settings()
        other = [name for name in {**now, **before} if now.get(name) != before.get(name)]
        if other:
            raise InputError(
                f"{self.folder} was measured with another {' and '.join(other)}; "
                f"choose another folder, or delete {self.path} to measure anew"
            )

    def add(self, case: Case, pictures: Pictures) -> None:
        """Keep a case; its picture first, so that a case that is there has one."""
        write_picture(self.picture(case), strip(pictures), quality=QUALITY)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(case)) + "\n")

    def picture(self, case: Case) -> Path:
        """Where a case's pictures are: input, result and, where there is one, truth side by side."""
        return self.folder / PICTURES / f"{zlib.crc32(repr(case.key).encode()):08x}.jpg"
