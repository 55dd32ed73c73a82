"""What a run was measured with: everything it takes to do it again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .protocol import Protocol

EXTENDED = ("crops", "mixtures")
"""Settings of the protocol that add cases and change none."""


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from.

    Attributes:
        model, sha256: name and content of the weights file.
        device, precision: what it ran on.
        versions: of the packages whose change may change the numbers.
        source: which pictures, in a form that two runs over the same ones share.
        protocol: what was done with them.
        lpips: the network it was measured with, or why it was not.
    """

    model: str
    sha256: str
    device: str
    precision: str
    versions: Mapping[str, str]
    source: str
    protocol: Protocol
    lpips: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def settings(self) -> dict[str, Any]:
        """What two runs must share for the cases of one to be those of the other."""
        told = self.as_json()
        told |= told.pop("protocol")
        return {name: str(value) for name, value in told.items() if name not in EXTENDED}

    def lines(self) -> list[tuple[str, str]]:
        """Names and values for a reader."""
        told = self.as_json()
        protocol, versions = told.pop("protocol"), told.pop("versions")
        lines = [*told.items(), *protocol.items(), *((f"version of {name}", text) for name, text in versions.items())]
        return [(name.replace("_", " "), shown(value)) for name, value in lines]


def shown(value: object) -> str:
    """A setting as a reader expects it."""
    if isinstance(value, (tuple, list)):
        return " to ".join(f"{each:g}" for each in value)
    return {"True": "yes", "False": "no", "None": "whole pictures"}.get(str(value), str(value))


def sha256(path: Path) -> str:
    """The digest of a file's content, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()
