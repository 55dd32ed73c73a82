"""Provenance of an evaluation: everything needed to reproduce it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .protocol import Protocol

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


def sha256(path: Path) -> str:
    """Return the hexadecimal digest of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
