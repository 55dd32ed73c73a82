"""Test photographs that come with scikit-image, scikit-learn and matplotlib, and those of a folder."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from torch import Tensor

from autodir_core.errors import InputError
from autodir_core.imaging.files import read_picture
from autodir_core.imaging.paths import list_pictures
from autodir_core.optional_imports import optional_import

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


def load_photos(folder: Path | None = None) -> dict[str, Tensor]:
    """Return the photos [1, H, W, 3] of a folder in 0..1 by name; without one the packaged ones."""
    return folder_photos(folder) if folder else packaged_photos()


def packaged_photos() -> dict[str, Tensor]:
    """Return eight photographs [1, H, W, 3] in 0..1 by name.

    Raises PackageError where one of the three packages is missing.
    """
    return {name: read_packaged_photo(*place) for name, place in PHOTOS.items()}


def read_packaged_photo(package: str, name: str) -> Tensor:
    """Read one photograph out of an installed package."""
    with optional_import(package.partition(".")[0], alternative="name a folder of photos"):
        folder = files(package)
    with as_file(folder.joinpath(*name.split("/"))) as path:
        return read_picture(path).image


def folder_photos(folder: Path) -> dict[str, Tensor]:
    """Read all pictures of a folder [1, H, W, 3] by file name without suffix; InputError where two share one."""
    paths = list_pictures([folder])
    for path in paths:
        if path.stem in {other.stem for other in paths if other != path}:
            raise InputError(f"{path} differs from another photo only in its suffix; rename one of them")
    return {path.stem: read_picture(path).image for path in paths}
