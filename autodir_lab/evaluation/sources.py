"""Sources of samples: clean photos to degrade, of a folder or of Python packages; folders of pairs; unpaired photos."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import NoReturn

from torch import Tensor

from autodir_core.errors import AutoDIRError, InputError, explain_full_memory
from autodir_core.imaging.files import read_picture
from autodir_core.imaging.paths import list_pictures
from autodir_core.labels import CLEAN
from autodir_core.optional_imports import optional_import

from .protocol import SEPARATOR, Protocol, degrade_crop, draw_sample_kinds, draw_severity, label_pairs, random_crops
from .sample_result import SampleInfo

PHOTOS = {
    "astronaut": ("skimage.data", "astronaut.png"),
    "cat": ("skimage.data", "chelsea.png"),
    "coffee": ("skimage.data", "coffee.png"),
    "rocket": ("skimage.data", "rocket.jpg"),
    "motorcycle": ("skimage.data", "motorcycle_left.png"),
    "palace": ("sklearn.datasets.images", "china.jpg"),
    "flower": ("sklearn.datasets.images", "flower.jpg"),
    "portrait": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}
"""Name -> package and file in it."""


OnError = Callable[[AutoDIRError], object]
"""What is told of a picture or pair that cannot be used; the others go on."""


def fail(error: AutoDIRError) -> NoReturn:
    """Let no others go on."""
    raise error


@dataclass(frozen=True)
class ImagePair:
    """A degraded image and its reference, [1, H, W, 3] in 0..1, and the kinds of its degradations.

    The reference is None where there is none; kinds are known of clean photos degraded here.
    """

    degraded: Tensor
    reference: Tensor | None
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample(SampleInfo):
    """An image to measure; `load` makes or reads it when it is needed."""

    load: Callable[[], ImagePair]


@dataclass(frozen=True)
class PairFolders:
    """Folders of degraded pictures and of their references; the label is empty where it is unknown."""

    degraded: Path
    reference: Path
    label: str = ""


def load_photos(folder: Path | None = None, size: int = 1, on_error: OnError = fail) -> dict[str, Tensor]:
    """Return the photos [1, H, W, 3] in 0..1 by name.

    Args:
        folder: None takes the eight of Python packages.
        size: of a crop that has to fit into each.
        on_error: called for a photo that cannot be used.

    Raises PackageError where one of the three packages is missing, InputError where no photo can be used.
    """
    if folder is None:
        return {name: read_packaged_photo(*place) for name, place in PHOTOS.items()}
    return folder_photos(folder, size, on_error)


def read_packaged_photo(package: str, name: str) -> Tensor:
    """Read one photograph out of an installed package."""
    with optional_import(package.partition(".")[0], alternative="name a folder of photos"):
        folder = files(package)
    with as_file(folder.joinpath(*name.split("/"))) as path:
        return read_picture(path).image


def folder_photos(folder: Path, size: int, on_error: OnError) -> dict[str, Tensor]:
    """Read all pictures of a folder [1, H, W, 3] by file name without suffix; InputError where two share one."""
    paths = list_pictures([folder])
    for path in paths:
        if path.stem in {other.stem for other in paths if other != path}:
            raise InputError(f"{path} differs from another photo only in its suffix; rename one of them")
    photos: dict[str, Tensor] = {}
    for path in paths:
        try:
            with explain_full_memory(str(path)):
                photos[path.stem] = check_size(read_picture(path).image, size, path)
        except AutoDIRError as error:
            on_error(error)
    if not photos:
        raise InputError(f"no photo in {folder} can be used")
    return photos


def photo_samples(photos: Mapping[str, Tensor], labels: Sequence[str], protocol: Protocol) -> list[Sample]:
    """Return a sample for each crop of clean photos and each label, and each pair of labels if the protocol has them.

    Raises InputError for a photo smaller than a crop.
    """
    label_sets = [(label,) for label in labels] + (label_pairs(labels) if protocol.mixtures else [])
    return [
        synthetic_sample(name, number, label_set, clean, protocol)
        for name, number, clean in random_crops(photos, protocol)
        for label_set in label_sets
    ]


def some_mixtures(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Return `count` of each crop's mixtures, other ones of each crop, so that all are drawn alike."""
    crops: dict[tuple[str, int | None], list[Sample]] = {}
    for sample in samples:
        if len(sample.labels) > 1:
            crops.setdefault((sample.photo, sample.crop), []).append(sample)
    turned = (mixtures[at * count % len(mixtures) :] + mixtures for at, mixtures in enumerate(crops.values()))
    return [sample for mixtures in turned for sample in mixtures[:count]]


def synthetic_sample(name: str, number: int, labels: tuple[str, ...], clean: Tensor, protocol: Protocol) -> Sample:
    """Return the sample of one crop with one or several degradations."""
    crop_name, label = f"{name} {number}", SEPARATOR.join(labels)
    severity = None if label == CLEAN else draw_severity(label, crop_name, protocol)
    kinds = draw_sample_kinds(label, crop_name, protocol)
    return Sample(
        name, number, labels, severity, lambda: ImagePair(degrade_crop(clean, label, crop_name, protocol), clean, kinds)
    )


def pair_samples(folders: Sequence[PairFolders], protocol: Protocol, on_error: OnError = fail) -> list[Sample]:
    """Return a sample for each degraded picture of all folders, whole or its center crop.

    `on_error` is called for a picture without a reference. Raises InputError where none has one, or two of the folders
    hold the same picture.
    """
    size = protocol.size
    samples = [
        Sample(path.as_posix(), None, (one.label,) * bool(one.label), None, partial(read_pair, path, reference, size))
        for one in folders
        for path, reference in match_references(one.degraded, one.reference, on_error)
    ]
    if not samples:
        raise InputError(f"no picture of {folders[0].degraded} has a reference; rename the files so that pairs agree")
    if len({sample.key for sample in samples}) < len(samples):
        raise InputError("a folder of pairs is given twice; name each folder once")
    return samples


def unpaired_samples(folder: Path, protocol: Protocol) -> list[Sample]:
    """Return a sample without a reference for each picture of a folder, whole or its center crop."""
    return [
        Sample(path.name, None, (), None, partial(read_unpaired, path, protocol.size)) for path in list_pictures(folder)
    ]


def find_pair_folders(degraded: Path, reference: Path, labels: Sequence[str]) -> list[PairFolders]:
    """Return a pair for each sub-folder named like a label, "_" for a space; the two folders themselves without any.

    The references are in a sub-folder of the same name, or all in `reference`.
    """
    if not degraded.is_dir():
        raise InputError(
            f"{degraded} is not a folder; --pairs takes a folder of degraded pictures and one of references"
        )
    found = []
    for folder in sorted(degraded.iterdir()):
        label, same_name = folder.name.replace("_", " "), reference / folder.name
        if folder.is_dir() and label in labels:
            found.append(PairFolders(folder, same_name if same_name.is_dir() else reference, label))
    return found or [PairFolders(degraded, reference)]


def match_references(degraded: Path, reference: Path, on_error: OnError = fail) -> list[tuple[Path, Path]]:
    """Pair each degraded picture with the reference of the same name, else of the same first number in the name.

    By number only if not every name is found: "0001_0.8_0.2.jpg" matches "0001.png", "7_rain.png" matches
    "7_clean.png". `on_error` is called for a picture with no or several references.
    """
    paths, references = list_pictures(degraded), list_pictures(reference)
    by_name = {path.stem: path for path in references}
    if len(by_name) == len(references) and all(path.stem in by_name for path in paths):
        return [(path, by_name[path.stem]) for path in paths]
    numbered: dict[Path, Path] = {}
    problems: list[InputError] = []
    for path in paths:
        try:
            numbered[path] = match_number(path, references)
        except InputError as error:
            problems.append(error)
    if problems and any(path.stem in by_name for path in paths):  # then names are what pairs agree in
        numbered = {path: by_name[path.stem] for path in paths if path.stem in by_name}
        unnamed = (path for path in paths if path.stem not in by_name)
        problems = [InputError(f"{path} has no reference of the same name in {reference}") for path in unnamed]
    for problem in problems:
        on_error(problem)
    return list(numbered.items())


def match_number(path: Path, references: Sequence[Path]) -> Path:
    """Return the one reference with the same first number as `path`."""
    number = first_number(path)
    found = [reference for reference in references if number and first_number(reference) == number]
    if len(found) != 1:
        raise InputError(
            f"{path} needs one reference of the same name or first number in {references[0].parent}, "
            f"found {len(found)}; rename the files so that pairs agree"
        )
    return found[0]


def first_number(path: Path) -> str:
    """Return the first run of digits in a file's name, without leading zeros; empty without any."""
    found = re.search(r"\d+", path.stem)
    return str(int(found[0])) if found else ""


def read_pair(path: Path, reference_path: Path, size: int | None) -> ImagePair:
    """Read both pictures; InputError where their sizes differ or are smaller than the crop."""
    degraded, reference = read_picture(path).image, read_picture(reference_path).image
    if degraded.shape != reference.shape:
        (height, width), (other_height, other_width) = degraded.shape[1:3], reference.shape[1:3]
        raise InputError(
            f"{path} is {width}x{height}, its reference {reference_path} is {other_width}x{other_height}; "
            "crop both to one size first"
        )
    return ImagePair(center_crop(degraded, size, path), center_crop(reference, size, reference_path))


def read_unpaired(path: Path, size: int | None) -> ImagePair:
    """Read a picture that has no reference."""
    return ImagePair(center_crop(read_picture(path).image, size, path), None)


def center_crop(image: Tensor, size: int | None, path: Path) -> Tensor:
    """Return the central `size` x `size` pixels of [1, H, W, 3]; the whole image for None."""
    if size is None:
        return image
    height, width = check_size(image, size, path).shape[1:3]
    top, left = (height - size) // 2, (width - size) // 2
    return image[:, top : top + size, left : left + size]


def check_size(image: Tensor, size: int, path: Path) -> Tensor:
    """Return [1, H, W, 3]; InputError where a side is shorter than `size`."""
    height, width = image.shape[1:3]
    if min(height, width) < size:
        raise InputError(f"{path} is {width}x{height}; crops of {size} pixels need larger ones, or leave --size out")
    return image
