"""The output folder of one evaluation, written sample by sample so that an interrupted run can resume.

It belongs to one provenance: everything needed to reproduce the numbers.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from autodir_core.errors import InputError
from autodir_core.imaging.files import write_picture
from autodir_core.serialization.atomic import atomic_path, explain_write
from autodir_core.serialization.typed_reader import read_dataclass

from .evaluator import SampleImages
from .protocol import Protocol
from .sample_result import SampleResult

RESULTS, IMAGES = "results.jsonl", "pictures"
JPEG_QUALITY = 90

EXTENDABLE = ("crops", "mixtures")
"""Settings of the protocol that add samples without changing any."""


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from.

    Attributes:
        model, sha256: name and content of the weights file.
        device, precision: what it ran on.
        versions: of the packages whose change may change the numbers.
        source: which pictures, in a form that two runs over the same ones share.
        protocol: what was measured.
        lpips: the network of the metric, or why it was not measured.
    """

    model: str
    sha256: str
    device: str
    precision: str
    versions: Mapping[str, str]
    source: str
    protocol: Protocol
    lpips: str

    def comparable_settings(self) -> dict[str, str]:
        """Return the settings that two runs must share to share results."""
        settings = asdict(self)
        settings |= settings.pop("protocol")
        return {name: str(value) for name, value in settings.items() if name not in EXTENDABLE}

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values for a reader."""
        settings = asdict(self)
        protocol, versions = settings.pop("protocol"), settings.pop("versions")
        rows = settings | protocol | {f"version of {name}": version for name, version in versions.items()}
        return [(name.replace("_", " "), format_setting(value)) for name, value in rows.items()]


def format_setting(value: Any) -> str:
    """Return a setting as a reader expects it."""
    if isinstance(value, (tuple, list)):
        return " to ".join(f"{each:g}" for each in value)
    return {"True": "yes", "False": "no", "None": "whole pictures"}.get(str(value), str(value))


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

    def has_report(self) -> bool:
        """Whether the folder has a report, of this run or of another one."""
        return any(self.folder.glob("evaluation.*"))

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
        with explain_write(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")

    def image_path(self, result: SampleResult) -> Path:
        """Path of a sample's images: input, result and, where there is one, reference side by side."""
        return self.folder / IMAGES / f"{zlib.crc32(repr(result.key).encode()):08x}.jpg"
