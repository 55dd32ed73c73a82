"""Jobs of commands that turn pictures into files: planning, refusals before the work, processing one by one."""

from __future__ import annotations

import argparse
import glob
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import AutoDIRError, InputError, explain_full_memory
from ..imaging.paths import FILM_ADVICE, FILM_SUFFIXES, FORMATS, fit_name, list_pictures
from .console import complain, progress_off, say
from .options import SUFFIXES

Item = TypeVar("Item")
REPORT_ENDING, PAGE_ENDING = ".json", ".html"
REDO = "settings and additional outputs of this run do not apply to it, --overwrite does it again with them"


@dataclass(frozen=True)
class Job:
    """One picture file, the file its result goes to, and its mask where that is not to be looked for."""

    source: Path
    target: Path
    mask: Path | None = None

    def sibling(self, ending: str) -> Path:
        """Return a file next to the result, named after it."""
        return self.target.with_name(self.target.stem + ending)

    def outputs(self, endings: Sequence[str]) -> list[Path]:
        """Return every file that may be written: the result and its siblings."""
        return [self.target, *(self.sibling(ending) for ending in endings)]


def round_ending(number: int) -> str:
    return f"_round{number}.png"


def find_pictures(given: Sequence[str]) -> list[Path]:
    """Return the picture files of paths, folders and, where the shell left them, wildcards."""
    paths = [[text] if Path(text).exists() else sorted(glob.glob(text)) or [text] for text in given]
    return list_pictures([path for some in paths for path in some])


Masks = Mapping[str, Sequence[Path]]
"""The files of a folder of masks, by the names of their pictures without suffixes."""


def list_masks(folder: Path) -> Masks:
    masks: dict[str, list[Path]] = {}
    with suppress(InputError):  # no folder, or an empty one
        for path in list_pictures(folder):
            masks.setdefault(path.stem, []).append(path)
    return masks


def find_mask(
    mask: str, source: Path, folders: Sequence[str] = ("",), listed: Callable[[Path], Masks] = list_masks
) -> Path:
    """Return the mask file for a picture: `mask` itself, or the one named like the picture in that folder.

    It is looked for in the `folders` below that one in turn; `listed` may remember the answers of `list_masks`.
    """
    if not Path(mask).exists():
        raise InputError(f"the mask {mask} does not exist; give a picture, or a folder with one for each picture")
    if not Path(mask).is_dir():
        [found] = list_pictures(mask)
        return found
    places = list(dict.fromkeys(Path(mask, folder) for folder in folders))
    named = next((found for place in places if (found := listed(place).get(source.stem))), ())
    if len(named) != 1:
        shown = " or ".join(map(str, places))
        raise InputError(f"{shown} needs one mask named {source.stem}.*, it has {len(named)}; add or rename it")
    return named[0]


def plan_jobs(
    given: Sequence[str], arguments: argparse.Namespace, marker: str, endings: Sequence[str] = ()
) -> list[Job]:
    """Return the jobs to do; InputError for what can be refused before the work.

    Args:
        given: picture files or folders.
        arguments: with the values of `add_output_options` and `add_quiet`.
        marker: what the names of results in a folder end in.
        endings: of the other files that are written next to a result.
    """
    pictures = find_pictures(given)
    output = Path(arguments.output)
    to_file = not arguments.output.endswith(("/", os.sep)) and wants_file(given, pictures, output)
    targets = [output] if to_file else [output / name for name in folder_names(pictures, marker, endings)]
    jobs = [Job(path, target) for path, target in zip(pictures, targets, strict=True)]
    check_distinct(jobs, endings)
    check_writable(output.parent if to_file else output)
    if arguments.overwrite:
        return jobs
    if to_file:
        refuse_existing(jobs[0].outputs(endings))
    for job in jobs:
        if job.target.exists():
            say(f"{job.source.name}: skipped, {job.target} exists; {REDO}", quiet=arguments.quiet)
    return [job for job in jobs if not job.target.exists()]


def wants_file(given: Sequence[str], pictures: Sequence[Path], output: Path) -> bool:
    """Whether the output names a file; InputError for a suffix that cannot be written or that does not fit."""
    one = len(pictures) == 1 and not Path(given[0]).is_dir()
    if output.is_dir() or not output.suffix:
        return False
    if one and output.suffix.lower() not in FORMATS:
        known = FILM_ADVICE if output.suffix.lower() in FILM_SUFFIXES else f"choose one of {SUFFIXES}"
        raise InputError(f"cannot write {output}: unknown suffix {output.suffix!r}; {known}")
    if not one and output.suffix.lower() in FORMATS:
        raise InputError(f"several pictures need a folder as output, got the file name {output}")
    return one


def folder_names(pictures: Sequence[Path], marker: str, endings: Sequence[str]) -> list[str]:
    """Return the names of results in a folder; where two become alike by a changed suffix, both keep their own.

    So a.bmp and a.gif give a.bmp_MARKER.png and a.gif_MARKER.png.
    """
    names = [folder_name(path, marker, endings) for path in pictures]
    taken = Counter(name.casefold() for name in names)
    return [
        folder_name(Path(path.name + Path(name).suffix), marker, endings)
        if taken[name.casefold()] > 1 and Path(name).suffix != path.suffix
        else name
        for path, name in zip(pictures, names, strict=True)
    ]


def folder_name(picture: Path, marker: str, endings: Sequence[str] = ()) -> str:
    """Return the name of a result in a folder; formats that cannot be written become PNG.

    It is cut off where it, or one of the files next to it, would be longer than file systems take.
    """
    suffix = picture.suffix if picture.suffix.lower() in FORMATS else ".png"
    longest = max([suffix, *endings], key=len)
    return fit_name(picture.stem, f"_{marker}{longest}").removesuffix(longest) + suffix


def check_distinct(jobs: Sequence[Job], endings: Sequence[str]) -> None:
    """InputError where a file would replace an input or the file of another picture."""
    inputs = {canonical(job.source) for job in jobs}
    taken: dict[str, Path] = {}
    for job in jobs:
        for path in job.outputs(endings):
            place = canonical(path)
            if place in inputs:
                raise InputError(f"{path} is an input and would be replaced by a result; choose another output")
            if place in taken:
                raise InputError(f"{taken[place]} and {job.source} would both write {path}; give each its own output")
            taken[place] = job.source


def canonical(path: Path) -> str:
    """Return one spelling of a path, whether or not it exists."""
    return os.path.normcase(os.path.realpath(path))


def check_writable(folder: Path) -> None:
    """Create the folder and try to write into it; InputError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}; choose another output") from error


def check_folder(folder: Path) -> None:
    """InputError for a folder that cannot be written, or made."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if os.path.isfile(there):
        raise InputError(f"{there} is a file; give a folder")
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"cannot write into {there}; choose another folder")


def refuse_existing(paths: Sequence[Path]) -> None:
    existing = [path for path in paths if path.exists()]
    if existing:
        raise InputError(f"{existing[0]} exists; choose another output or give --overwrite")


def for_each(items: Sequence[Item], work: Callable[[Item], None], *, quiet: bool) -> int:
    """Do the work for every item and return the exit code.

    An item that fails is reported and the others continue; the error of a single item is raised.
    """
    from tqdm import tqdm

    failed = 0
    off = True if len(items) == 1 else progress_off(quiet)
    for item in tqdm(items, desc="pictures", unit="picture", disable=off, leave=False):
        try:
            with explain_full_memory(str(getattr(item, "source", item))):
                work(item)
        except AutoDIRError as error:
            if len(items) == 1:
                raise
            complain(f"error: {error}")
            failed += 1
    if failed:
        complain(f"{failed} of {len(items)} pictures failed")
    return 1 if failed else 0
