"""Errors of the client, told apart by what can be done about them."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl

from autodir_core.errors import AutoDIRError

MAX_REASON = 160
"""Characters of why a connection failed: some errors hold all that a server has sent."""


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


def connection_error(server: str, error: BaseException) -> ServerError:
    """Return what a failed connection to a server means: no retry helps where it is of TLS."""
    cause = getattr(error, "certificate_error", getattr(error, "os_error", error))
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ServerError(
            f"{server} has a certificate that is not trusted ({cause.verify_message}); --insecure takes any, for a "
            "server of your own, or name its certificate in the variable SSL_CERT_FILE"
        )
    if isinstance(cause, ssl.SSLError):
        return ServerError(f"{server} does not speak https ({reason(error)}); try http://")
    return ServerUnavailableError(f"{server} does not answer ({reason(error)})")


def reason(error: BaseException) -> str:
    """Say in a few words why a connection failed."""
    cause = getattr(error, "os_error", error)
    if isinstance(error, asyncio.TimeoutError):
        return "timeout"
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, (socket.gaierror, ssl.SSLError)):
        return os.strerror(cause.errno)  # asyncio's own text repeats the address
    text = " ".join(str(getattr(cause, "strerror", None) or cause).split())
    return text[:MAX_REASON] or type(error).__name__
