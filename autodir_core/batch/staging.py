"""Local copies of what is not local while it is at work, and what may be replaced where results go."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..errors import InputError
from ..serialization.temporary import temporary_name
from .journal import Journal
from .planning.item import Item
from .planning.storage import Location, exists, fetch, inside, join, send

Check = Callable[[Item, str], None]
"""Raises where the result of a picture, by its name, must not be moved to its place."""


@dataclass(frozen=True)
class Staging:
    """Local files of what is not local, while it is at work.

    Attributes:
        results: the local folder that results are written to.
        output: the URL that they go on to; None where they stay.
        folder: of local copies; it has a temporary name, so that what a killed process leaves there is removed.
        check: is called with a picture and the name of its result before that is moved there; see `refuse_taken`.
    """

    results: Path
    output: str | None
    folder: Path
    check: Check = lambda item, name: None

    @classmethod
    def below(cls, folder: Path, output: Location, check: Check = lambda item, name: None) -> Staging:
        """Return one for results that go to `output`, with its copies in a folder of their own below `folder`."""
        own = folder / temporary_name()
        return cls(output, None, own, check) if isinstance(output, Path) else cls(own / "results", output, own, check)

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def fetch(self, item: Item, content: bytes | None = None) -> Item:
        """Return a picture with a local source: a copy of what its URL holds, or `content`, else its own."""
        if content is None and isinstance(item.source, Path):
            return item
        target = self.folder / secrets.token_hex(8) / inside(PurePosixPath(item.source)).name
        with ExitStack() as unless_it_is_whole:
            unless_it_is_whole.callback(shutil.rmtree, target.parent, ignore_errors=True)
            if content is None:
                fetch(str(item.source), target)
            else:
                target.parent.mkdir(parents=True)
                target.write_bytes(content)
            unless_it_is_whole.pop_all()
        return replace(item, source=target)

    def deliver(self, name: str) -> None:
        """Send a result on, if it is to go elsewhere."""
        if self.output and name:
            send(self.results / name, str(join(self.output, name)))
            (self.results / name).unlink()

    def discard(self, item: Item, local: Item) -> None:
        """Remove the local copy of a source; what is no copy stays."""
        if local.source != item.source:
            shutil.rmtree(local.source_path.parent, ignore_errors=True)


def refuse_taken(journal: Journal, output: Location, overwrite: bool, item: Item, name: str) -> None:
    """InputError where a file has the name of a result and is none of the batch's: it was put there since the start.

    So too where the picture is not this process's any more, and the result would be that of what it was.

    Where none is, the next file of that name is noted as the batch's: it is about to be moved there.
    """
    if not journal.holds(item):
        raise InputError(f"{item.source} has changed while it was at work, or others have it now; it is left to them")
    place = join(output, name)
    if not overwrite and exists(place) and not journal.has_written(name):
        raise InputError(
            f"{place} was put there during the run, and is not replaced; move it, or give --overwrite, and run again "
            "with --retry-failed"
        )
    journal.note_file(name)


LOCAL = Staging(Path(), None, Path())
"""For inputs and results that are local files."""
