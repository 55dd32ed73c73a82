"""Where the pictures come from: clean photos that are damaged here, pairs of folders, or photos without a truth."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from autodir_core.errors import InputError
from autodir_core.imaging.files import read_picture
from autodir_core.imaging.paths import list_pictures
from autodir_core.labels import CLEAN

from .protocol import Protocol, crops, damaged, drawn_severity, mixtures
from .sample_result import JOIN, Key


@dataclass(frozen=True)
class Pair:
    """A picture to be restored and its truth, [1, H, W, 3] in 0..1; None where there is no truth."""

    degraded: Tensor
    clean: Tensor | None


@dataclass(frozen=True)
class Sample:
    """A picture to be measured, named as in its `Case`; `load` makes or reads it when its turn has come."""

    photo: str
    crop: int | None
    labels: tuple[str, ...]
    severity: float | None
    load: Callable[[], Pair]

    @property
    def key(self) -> Key:
        return self.photo, self.crop, self.labels


@dataclass(frozen=True)
class Folders:
    """Two folders of pairs; the label is empty where it is not known what was done."""

    degraded: Path
    clean: Path
    label: str = ""


def photo_samples(photos: Mapping[str, Tensor], labels: Sequence[str], protocol: Protocol) -> list[Sample]:
    """Every crop of clean photos, with each label, and with each pair of degradations where the protocol says so.

    Raises InputError for a photo smaller than a crop.
    """
    wanted = [(label,) for label in labels] + (mixtures(labels) if protocol.mixtures else [])
    return [
        damaged_sample(name, number, done, clean, protocol)
        for name, number, clean in crops(photos, protocol)
        for done in wanted
    ]


def damaged_sample(name: str, number: int, labels: tuple[str, ...], clean: Tensor, protocol: Protocol) -> Sample:
    """One crop with one or several degradations."""
    place, label = f"{name} {number}", JOIN.join(labels)
    severity = None if label == CLEAN else drawn_severity(label, place, protocol)
    return Sample(name, number, labels, severity, lambda: Pair(damaged(clean, label, place, protocol), clean))


def pair_samples(sets: Sequence[Folders], protocol: Protocol) -> list[Sample]:
    """Every degraded picture of every set with its truth, whole or its central square.

    Raises InputError where a picture has no partner, or two sets hold the same picture.
    """
    samples = [
        Sample(
            path.as_posix(), None, (one.label,) * bool(one.label), None, partial(read_pair, path, truth, protocol.size)
        )
        for one in sets
        for path, truth in partners(one.degraded, one.clean)
    ]
    if len({sample.key for sample in samples}) < len(samples):
        raise InputError("a folder of pairs is given twice; name each folder once")
    return samples


def plain_samples(folder: Path, protocol: Protocol) -> list[Sample]:
    """Every picture of a folder without a truth, whole or its central square."""
    return [
        Sample(path.name, None, (), None, partial(read_plain, path, protocol.size)) for path in list_pictures(folder)
    ]


def label_folders(degraded: Path, clean: Path, known: Sequence[str]) -> list[Folders]:
    """One set per sub-folder that is named like a label, "_" for a space; the two folders themselves where none is.

    The truths lie in a sub-folder of the same name, or all in `clean`.
    """
    if not degraded.is_dir():
        raise InputError(f"{degraded} is not a folder; --pairs takes the folder of the degraded and that of the clean")
    inner = [(folder, folder.name.replace("_", " ")) for folder in sorted(degraded.iterdir()) if folder.is_dir()]
    sets = [Folders(folder, inner_or(clean, folder.name), label) for folder, label in inner if label in known]
    return sets or [Folders(degraded, clean)]


def inner_or(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_dir() else folder


def partners(degraded: Path, clean: Path) -> list[tuple[Path, Path]]:
    """Each degraded picture with its truth: the one of the same name, else of the same first number in the name.

    By number where not every name is found: "0001_0.8_0.2.jpg" belongs to "0001.png", "7_rain.png" to "7_clean.png".
    Raises InputError for a picture without a partner, or with several.
    """
    paths, truths = list_pictures(degraded), list_pictures(clean)
    named = {truth.stem: truth for truth in truths}
    if len(named) == len(truths) and all(path.stem in named for path in paths):
        return [(path, named[path.stem]) for path in paths]
    return [(path, numbered_partner(path, truths)) for path in paths]


def numbered_partner(path: Path, truths: Sequence[Path]) -> Path:
    found = [truth for truth in truths if first_number(path) and first_number(truth) == first_number(path)]
    if len(found) != 1:
        raise InputError(
            f"{path} needs one truth of the same name or first number in {truths[0].parent}, found {len(found)}; "
            "rename the files so that pairs agree"
        )
    return found[0]


def first_number(path: Path) -> str:
    """The first run of digits in a file's name, without leading zeros; empty where there is none."""
    found = re.search(r"\d+", path.stem)
    return str(int(found[0])) if found else ""


def read_pair(path: Path, truth: Path, size: int | None) -> Pair:
    """Both pictures; InputError where their sizes differ or are smaller than the square that is wanted."""
    degraded, clean = read_picture(path).image, read_picture(truth).image
    if degraded.shape != clean.shape:
        (height, width), (other_height, other_width) = degraded.shape[1:3], clean.shape[1:3]
        raise InputError(
            f"{path} is {width}x{height}, its truth {truth} is {other_width}x{other_height}; cut both to one size first"
        )
    return Pair(central_square(degraded, size, path), central_square(clean, size, truth))


def read_plain(path: Path, size: int | None) -> Pair:
    return Pair(central_square(read_picture(path).image, size, path), None)


def central_square(image: Tensor, size: int | None, path: Path) -> Tensor:
    """The square of `size` pixels in the middle of [1, H, W, 3]; the whole for None."""
    if size is None:
        return image
    height, width = image.shape[1:3]
    if min(height, width) < size:
        raise InputError(f"{path} is {width}x{height}; squares of {size} pixels need larger ones, or leave --size out")
    top, left = (height - size) // 2, (width - size) // 2
    return image[:, top : top + size, left : left + size]
