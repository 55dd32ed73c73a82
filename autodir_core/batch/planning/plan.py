"""What a batch works on: pictures, which of them are taken, and where their results go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePath

from ...cli.pictures import find_mask, list_masks
from ...errors import InputError
from .item import Item, absolute, is_film
from .names import name_results, refuse_own_names, refuse_shared_names
from .sources import Found, find_sources
from .storage import Location, join


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


def is_below(source: Location, folder: Location) -> bool:
    """Return whether a file lies in a folder or its sub-folders, by path or by URL."""
    if isinstance(source, Path) and isinstance(folder, Path):
        return Path(os.path.realpath(folder)) in Path(os.path.realpath(source)).parents
    return isinstance(source, str) and isinstance(folder, str) and source.startswith(folder.rstrip("/") + "/")


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
