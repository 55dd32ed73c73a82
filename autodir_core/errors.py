"""The errors a user can meet; each message says what was expected, what was given and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class AutoDIRError(Exception):
    """Anything this pack refuses to do, with one line that says why."""


class InputError(AutoDIRError, ValueError):
    """A picture, label, setting or path that cannot be used."""


class FullDiskError(InputError):
    """A disk, or a share of it, that holds nothing more: what follows would fail too."""


class CheckpointError(AutoDIRError):
    """A weights file that is not a complete AutoDIR model."""


class PackageError(AutoDIRError, ImportError):
    """A package that the networks need and that is missing or broken."""


FULL_MEMORY = (
    *("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc"),
    *("could not create a primitive", "could not create a memory object"),
)
"""What PyTorch and the libraries below it say where memory runs out, in small letters; the last two are of oneDNN."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of a device is full."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or any(words in text for words in FULL_MEMORY))
    )


@contextmanager
def explain_full_memory(what: str, device: str = "cpu") -> Iterator[None]:
    """Turn what is raised where memory runs out into one line: AutoDIRError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        other = "scale it down or close other programs" + ("" if device == "cpu" else ", or take --device cpu")
        raise AutoDIRError(f"{what} does not fit into the memory of the {device}; {other}") from error
