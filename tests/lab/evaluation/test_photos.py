"""The test photographs of Python packages and of folders."""

from __future__ import annotations

import pytest

import autodir_core as ad
from autodir_core.imaging.files import write_picture
from autodir_lab.evaluation.sources import PHOTOS, load_photos


def test_eight_photos_come_with_packages():
    for package in ("skimage", "sklearn", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    photos = load_photos()
    assert len(photos) == len(PHOTOS) == 8
    assert all(min(photo.shape[1:3]) >= 256 and photo.shape[3] == 3 for photo in photos.values())


def test_photos_of_one_name_are_refused(tmp_path, random_image):
    for name in ("a.png", "a.webp"):
        write_picture(tmp_path / name, random_image(0))
    with pytest.raises(ad.InputError, match="only in its suffix"):
        load_photos(tmp_path)
