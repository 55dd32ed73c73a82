"""What can go wrong between the client and a server, by what is to be done about it."""

from __future__ import annotations

from autodir_core.errors import AutoDIRError


class ServerError(AutoDIRError):
    """A server that cannot be used as it is; another one, or the same one changed, can do the work."""


class ServerAway(ServerError):
    """A server that does not answer now; it may come back."""


class ServerLacks(ServerError):
    """A server without something that the workflow needs."""


class JobFailed(AutoDIRError):
    """A server that works refused this prompt or failed on it; asking again would not help."""


class FileGone(AutoDIRError):
    """An output that the server lists but no longer has."""
