"""The names of results: those of their pictures, each another, and none that leads out of the output folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import PurePath

from ...errors import InputError
from ...imaging.paths import FORMATS, fit_name
from .item import Item, absolute, is_film
from .sources import TABLE, Found
from .storage import URL, Location, inside

JOURNAL, PAGE = "batch.sqlite", "batch.html"
"""Names of a batch's own files in the output folder."""

OWN_FILES = frozenset({TABLE, PAGE, JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm"})

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Suffixes of restored films, and what FFmpeg calls their format; films of other formats become Matroska."""


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


def refuse_folders(results: Iterable[str], names: Iterable[str]) -> None:
    """InputError where a folder that new results lie in has the name of an older one."""
    folders = folders_of(map(PurePath, names))
    for result in results:
        if result.casefold() in folders:
            raise InputError(f"{result} is a result, and a folder of that name joins; choose another output folder")


def refuse_others(items: Sequence[Item], others: Mapping[str, str]) -> None:
    """InputError where the name of a result is that of another picture, in `others` with its source."""
    for item in items:
        if item.name in others:
            raise InputError(
                f"{item.name} in the output folder is that of {others[item.name]}, and {item.source} would replace it; "
                "choose another output folder, or give --overwrite"
            )


def result_name(relative: PurePath, suffix: str | None) -> str:
    """Return the name of a result: that of its source, in its sub-folder; what cannot be written becomes PNG or MKV."""
    if is_film(relative):
        ending = relative.suffix if relative.suffix.lower() in CONTAINERS else ".mkv"
    else:
        ending = suffix or (relative.suffix if relative.suffix.lower() in FORMATS else ".png")
    return (relative.parent / fit_name(relative.stem, ending)).as_posix()
