"""What a batch works on: pictures, which of them are taken, and where their results go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path, PurePath

from ..cli.pictures import find_mask, list_masks
from ..errors import InputError
from ..imaging.paths import FILM_SUFFIXES, FORMATS, check_there, fit_name
from ..serialization.hashing import sha256
from .sources import TABLE, Found, find_sources
from .storage import URL, Location, inside, join, short_hash

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Suffixes of restored films, and what FFmpeg calls their format; films of other formats become Matroska."""

JOURNAL, PAGE = "batch.sqlite", "batch.html"
"""Names of a batch's own files in the output folder."""

OWN_FILES = frozenset({TABLE, PAGE, JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm"})

NO_STAMP = 0, 0
"""Of what is not there."""


@dataclass(frozen=True)
class Item:
    """One picture of a batch.

    Attributes:
        source: the file, or its URL.
        name: where its result goes below the output folder, with sub-folders; the key in the journal.
        stamp: of a URL: the size, and a number that changes with the content.
        copy: where a copy goes, its own suffix kept, of one that needs nothing; "" where all results have one format.
        mask: a local file, where there are masks.
    """

    source: Location
    name: str
    stamp: tuple[int, int] | None = None
    copy: str = ""
    mask: Path | None = None

    @property
    def source_path(self) -> Path:
        """The source as a path, for the parts of its name; of a URL no file has it."""
        return Path(self.source)

    @property
    def files(self) -> set[str]:
        """The names of what may be written of it."""
        return {self.name, self.copy} - {""}


def stamp_of(item: Item) -> tuple[int, int]:
    """Return what tells whether a source has changed: its size and its time, or what its store lists.

    The second number has that of its mask in it, which changes the result too.
    """
    try:
        size, mark = item.stamp or file_stamp(item.source_path)
        if item.mask:
            mark = short_hash(f"{mark} {file_stamp(item.mask)}")
        return size, mark
    except OSError:  # why it cannot be read is told when it is its turn
        return NO_STAMP


def file_stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def check_source(source: Path) -> None:
    """InputError for what cannot be read as one file."""
    check_there(source)
    if source.is_dir():
        raise InputError(f"{source} is a folder without pictures; leave it out")


def is_other(item: Item, source: str, digest: str | None, stamp: Sequence[int]) -> bool:
    """Return whether a picture is another than the one of a source: in another place, with another content."""
    if absolute(item.source) == source or (isinstance(item.source, Path) and same_file(item.source, source)):
        return False
    if digest and isinstance(item.source, Path) and item.source.is_file():
        return sha256(item.source) != digest
    if not digest and not URL.match(source):
        return os.path.exists(source)  # and is yet to be done; where it was moved, its name is free
    return tuple(stamp) not in (NO_STAMP, stamp_of(item))


def same_file(path: Path, source: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(source)


def is_film(path: PurePath) -> bool:
    return path.suffix.lower() in FILM_SUFFIXES


@dataclass(frozen=True)
class Selection:
    """Which pictures of a batch are taken: every n-th, of these shard i of n, of these the first so many."""

    every: int = 1
    shard: tuple[int, int] = (1, 1)
    limit: int | None = None

    def __post_init__(self) -> None:
        index, count = self.shard
        if not 1 <= index <= count:
            raise InputError(f"a shard is written i/n with i in 1..n, got {index}/{count}")

    def choose(self, items: Sequence[Item]) -> list[Item]:
        index, count = self.shard
        return list(items[:: self.every])[index - 1 :: count][: self.limit]


def plan_items(given: Sequence[str], output: Location, suffix: str | None = None) -> list[Item]:
    """Return the pictures of paths, URLs, folders with their sub-folders, wildcards and lists, in natural order.

    Args:
        given: as on the command line.
        output: the folder of the results; pictures below it are passed over, they are results.
        suffix: of all pictures' results, such as ".png"; None keeps each picture's own, where it can be written.

    Raises InputError for what does not exist, for a folder with the name of a file of the batch's own, and where two
    pictures would write one file.
    """
    every = list(find_sources(given, output))
    found = [one for one in every if not is_below(one[0], output)]
    if every and not found:
        raise InputError(f"all pictures given lie in {output}, whose files are results; choose another output folder")
    if not found:
        raise InputError(f"no pictures in {', '.join(given)}; give pictures, folders, wildcards or lists (.txt)")
    once: dict[str, Found] = {}
    for one in found:
        once.setdefault(absolute(one[0]), one)
    items = name_results(list(once.values()), suffix)
    refuse_own_names(items)
    refuse_shared_names(items)
    return items


def with_masks(items: Sequence[Item], mask: str, planned: Sequence[Item]) -> list[Item]:
    """Return pictures with their masks, what is missing without; InputError where one has none, or not one alone.

    Args:
        items: those that are chosen of `planned`.
        mask: a file for all, or a folder. In there a picture's own lies where the picture lies below its INPUT; one in
            the folder itself serves where no other of the `planned` has the same name.
        planned: all pictures.
    """
    names, listed = Counter(item.source_path.stem for item in planned), cache(list_masks)

    def find(item: Item) -> Path:
        own = str(PurePath(item.name).parent)
        return find_mask(mask, item.source_path, [own, ""] if names[item.source_path.stem] == 1 else [own], listed)

    return [replace(item, mask=find(item)) if item.stamp or os.path.isfile(item.source) else item for item in items]


def name_results(found: Sequence[Found], suffix: str | None) -> list[Item]:
    """Return pictures with the names of their results; where two become alike by a changed suffix, both keep their own.

    So a.bmp and a.gif give a.bmp.png and a.gif.png, as does a.bmp beside a folder a.png; of A.jpg and a.jpg of one
    folder the second becomes a_2.jpg, as not every disk tells them apart; and so do keys of a store that are alike
    without what would lead out of OUT.
    """
    relatives = [inside(relative) for _, relative, _ in found]
    names = [result_name(relative, suffix) for relative in relatives]
    wanted, places, folders = Counter(map(str.casefold, names)), dict[str, PurePath](), folders_of(relatives)
    items: list[Item] = []
    for name, relative, (source, _, stamp) in zip(names, relatives, found, strict=True):
        if wanted[name.casefold()] > 1 or name.casefold() in folders:
            relative, name = tell_apart(name, source, relative, stamp)
        stem, place = relative.stem, inside(PurePath(source)).parent
        if places.get(name.casefold()) == place or name.casefold() in folders:
            name = next_free(name, wanted, places, folders)
            stem = PurePath(name).stem
        places[name.casefold()] = place
        forced = suffix is not None and not is_film(relative)
        items.append(Item(source, name, stamp, "" if forced else copy_name(relative, stem, folders)))
    return items


def keep_names(items: Sequence[Item], known: Mapping[str, str]) -> list[Item]:
    """Return pictures with the names, `known` by source, that they have in a journal, if those are of one folder.

    One that joins does not rename its twin: it gets another name. No name is that of a folder.
    """
    folders = folders_of([PurePath(item.name) for item in items])
    own = {item.name: known.get(str(absolute(item.source)), item.name) for item in items}
    own = {name: old for name, old in own.items() if is_alike(old, name) and old.casefold() not in folders}
    kept, taken = [], {item.name.casefold() for item in items} | {old.casefold() for old in own.values()}
    olds = Counter(old for name, old in own.items() if old != name)
    for item in items:
        name = own.get(item.name, item.name)
        if name == item.name and olds[name]:
            name = next_free(name, taken, folders)
            taken.add(name.casefold())
        copy = name if item.copy == item.name else item.copy
        kept.append(replace(item, name=name, copy=copy))
    return kept


def is_alike(name: str, other: str) -> bool:
    """Return whether two names are those of one folder and of one format."""
    one, two = PurePath(name), PurePath(other)
    return (one.parent, one.suffix) == (two.parent, two.suffix)


def folders_of(relatives: Iterable[PurePath]) -> set[str]:
    """Return the folders that results lie in, with those above, in lower case."""
    own = {relative.parent for relative in relatives}
    return {folder.as_posix().casefold() for one in own for folder in (one, *one.parents)}


def copy_name(relative: PurePath, stem: str, folders: Container[str]) -> str:
    """Return the name of a bit for bit copy; "" where it would be that of a file of the batch's own, or of a folder."""
    name = (relative.parent / fit_name(stem, relative.suffix)).as_posix()
    return "" if name.casefold() in OWN_FILES or name.casefold() in folders else name


def tell_apart(name: str, source: Location, relative: PurePath, stamp: tuple[int, int] | None) -> tuple[PurePath, str]:
    """Return the path of a picture below OUT, and a name of its own: with its own suffix, or where a missing one is."""
    if not stamp and not os.path.exists(source):
        relative = inside(PurePath(URL.sub("", str(source))))
        return relative, result_name(relative, PurePath(name).suffix)
    ending = PurePath(name).suffix
    kept = name if ending == relative.suffix else (relative.parent / fit_name(relative.name, ending)).as_posix()
    return relative, kept


def next_free(name: str, *taken: Container[str]) -> str:
    """Return the name with the first number from 2 on that nobody has."""
    path = PurePath(name)
    numbered = ((path.parent / fit_name(f"{path.stem}_{n}", path.suffix)).as_posix() for n in count(2))
    return next(one for one in numbered if not any(one.casefold() in names for names in taken))


def absolute(source: Location) -> str:
    """Return one spelling of a place."""
    return os.path.abspath(source) if isinstance(source, Path) else source


def is_below(source: Location, folder: Location) -> bool:
    """Return whether a file lies in a folder or its sub-folders, by path or by URL."""
    if isinstance(source, Path) and isinstance(folder, Path):
        return Path(os.path.realpath(folder)) in Path(os.path.realpath(source)).parents
    return isinstance(source, str) and isinstance(folder, str) and source.startswith(folder.rstrip("/") + "/")


def refuse_own_names(items: Sequence[Item]) -> None:
    """InputError where a folder of results would have the name of a file of the batch's own."""
    for item in items:
        folder = item.name.partition("/")[0]
        if folder.casefold() in OWN_FILES:
            raise InputError(
                f"{item.source} would write {item.name}, and {folder} is the name of a file of the batch's own; rename "
                "the folder"
            )


def refuse_shared_names(items: Sequence[Item]) -> None:
    """InputError where two pictures would write one file."""
    taken: dict[str, Location] = {}
    for item in items:
        other = taken.setdefault(item.name.casefold(), item.source)
        if other != item.source:
            raise InputError(
                f"{other} and {item.source} would both write {item.name}; give the folder above both, or two runs with "
                "an output folder each"
            )


def refuse_foreign(items: Sequence[Item], there: Set[str], output: Location, reports: Set[str]) -> None:
    """InputError where files of others that are `there` would be replaced by `reports`, or by results."""
    taken = sorted(reports & there)
    taken += [name for item in items for name in sorted(item.files & there)]
    if taken:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        are_none = "are no results" if more else "is no result"
        raise InputError(
            f"{join(output, taken[0])}{more} would be replaced, and {are_none} of this batch; choose another output "
            "folder, or give --overwrite"
        )


def count_sources(items: Sequence[Item]) -> str:
    """Return how many pictures and films there are, in words."""
    films = sum(is_film(item.source_path) for item in items)
    counts = {"picture": len(items) - films, "film": films}
    return " and ".join(f"{n} {noun}{'s' * (n != 1)}" for noun, n in counts.items() if n) or "0 pictures"


def result_name(relative: PurePath, suffix: str | None) -> str:
    """Return the name of a result: that of its source, in its sub-folder; what cannot be written becomes PNG or MKV."""
    if is_film(relative):
        ending = relative.suffix if relative.suffix.lower() in CONTAINERS else ".mkv"
    else:
        ending = suffix or (relative.suffix if relative.suffix.lower() in FORMATS else ".png")
    return (relative.parent / fit_name(relative.stem, ending)).as_posix()
