"""Errors of the client, told apart by what can be done about them."""

from __future__ import annotations

from autodir_core.errors import AutoDIRError


class ServerError(AutoDIRError):
    """A server that cannot be used as it is; another one, or the same one changed, can do the work."""


class ServerUnavailableError(ServerError):
    """A server that does not answer now; it may come back."""


class MissingRequirementsError(ServerError):
    """A server without something that the workflow requires."""


class JobFailedError(AutoDIRError):
    """A prompt that a working server refused or failed on; a retry would not help."""


class OutputNotFoundError(AutoDIRError):
    """An output that the server lists but no longer has."""
