"""The output folder of one evaluation, written sample by sample so that an interrupted run can resume."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from autodir_core.errors import InputError
from autodir_core.imaging.files import write_picture
from autodir_core.serialization.atomic import atomic_path
from autodir_core.serialization.typed_reader import read_dataclass

from .evaluator import SampleImages
from .provenance import Provenance
from .sample_result import SampleResult

RESULTS, IMAGES = "results.jsonl", "pictures"
JPEG_QUALITY = 90


@dataclass(frozen=True)
class ResultStore:
    """The results of a folder, and a JPEG of each sample's images."""

    folder: Path

    @property
    def path(self) -> Path:
        """The file of the results: comparable settings in the first line, then one result per line."""
        return self.folder / RESULTS

    def open(self, provenance: Provenance) -> list[SampleResult]:
        """Return the results so far; a new folder is created, an incomplete last line of an interrupted run dropped.

        Raises InputError where they were measured with other settings.
        """
        if self.folder.is_file():
            raise InputError(f"--output must be a folder, {self.folder} is a file")
        settings = provenance.comparable_settings()
        text = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
        complete = text[: text.rfind("\n") + 1] or json.dumps(settings) + "\n"
        header, *lines = complete.splitlines()
        self.check_settings(json.loads(header), settings)
        with atomic_path(self.path) as temporary:
            temporary.write_text(complete, encoding="utf-8")
        return [read_dataclass(SampleResult, json.loads(line)) for line in lines]

    def check_settings(self, before: dict[str, str], now: dict[str, str]) -> None:
        """Raise InputError unless both settings are the same."""
        different = [name for name in now | before if now.get(name) != before.get(name)]
        if different:
            raise InputError(
                f"{self.folder} was measured with another {' and '.join(different)}; "
                f"choose another folder, or delete {self.path} to start over"
            )

    def append(self, result: SampleResult, images: SampleImages) -> None:
        """Write a result; its images first, so that every result in the file has them."""
        shown = [images.degraded, images.restored, images.reference]
        side_by_side = torch.cat([image.clamp(0, 1) for image in shown if image is not None], dim=2)
        write_picture(self.image_path(result), side_by_side, quality=JPEG_QUALITY)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")

    def image_path(self, result: SampleResult) -> Path:
        """Path of a sample's images: input, result and, where there is one, reference side by side."""
        return self.folder / IMAGES / f"{zlib.crc32(repr(result.key).encode()):08x}.jpg"
