"""The errors a user can meet; each message says what was expected, what was given and what to do."""

from __future__ import annotations


class AutoDIRError(Exception):
    """Anything this pack refuses to do, with one line that says why."""


class InputError(AutoDIRError, ValueError):
    """A picture, label, setting or path that cannot be used."""


class CheckpointError(AutoDIRError):
    """A weights file that is not a complete AutoDIR model."""


class PackageError(AutoDIRError, ImportError):
    """A package that the networks need and that is missing or broken."""
