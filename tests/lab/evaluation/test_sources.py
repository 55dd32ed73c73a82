"""Which reference belongs to which random_image, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import autodir_core as ad
from autodir_core.imaging.files import read_picture, write_picture
from autodir_lab.evaluation.protocol import Protocol
from autodir_lab.evaluation.sources import (
    PHOTOS,
    PairFolders,
    find_pair_folders,
    load_photos,
    match_references,
    pair_samples,
    photo_samples,
    some_mixtures,
    unpaired_samples,
)

WHOLE = Protocol(size=None)


@pytest.fixture
def folder(tmp_path, random_image):
    """Make a folder of small pictures with the given names."""

    def make(name: str, *files: str, size: int = 32) -> Path:
        for seed, file in enumerate(files):
            write_picture(tmp_path / name / file, random_image(seed, size))
        return tmp_path / name

    return make


@pytest.mark.parametrize(
    ("degraded", "clean"),
    [
        (["GOPR0384_11_00-000001.png", "GOPR0384_11_00-000002.png"],) * 2,
        (["0001_0.8_0.2.png", "0003_0.9_0.1.png"], ["0001.png", "0003.png"]),
        (["0_rain.png", "10_rain.png"], ["0_clean.png", "10_clean.png"]),
        (["rain-001.png", "rain-010.png"], ["norain-001.png", "norain-010.png"]),
        (["1.png", "2.jpg"], ["1.png", "2.png"]),
    ],
    ids=["GoPro", "SOTS", "Raindrop", "Rain100L", "suffixes"],
)
def test_references_of_common_data_sets(folder, degraded, clean):
    found = match_references(folder("bad", *degraded), folder("good", *clean))
    assert [(path.name, reference.name) for path, reference in found] == list(zip(degraded, clean, strict=True))


def test_hazy_pictures_may_share_one_reference(folder):
    found = match_references(folder("bad", "7_1.png", "7_2.png"), folder("good", "7.png", "8.png"))
    assert [reference.name for _, reference in found] == ["7.png", "7.png"]


@pytest.mark.parametrize(("clean", "count"), [(["8.png"], 0), (["7_a.png", "7_b.png"], 2)], ids=["none", "several"])
def test_a_picture_needs_one_reference(folder, clean, count):
    with pytest.raises(ad.InputError, match=rf"7_rain.png needs one reference .* found {count}"):
        match_references(folder("bad", "7_rain.png"), folder("good", *clean))


def test_where_names_agree_a_number_pairs_nothing(folder):
    """The number of b1 is that of a1, of which a reference is there."""
    problems = []
    found = match_references(folder("bad", "a1.png", "b1.png", "c.png"), folder("good", "a1.png"), problems.append)
    assert [(path.name, reference.name) for path, reference in found] == [("a1.png", "a1.png")]
    assert ["no reference of the same name" in str(problem) for problem in problems] == [True, True]


def test_names_without_numbers_do_not_match(folder):
    with pytest.raises(ad.InputError, match="found 0"):
        match_references(folder("bad", "street.png"), folder("good", "house.png"))


def test_pairs_are_read_whole_or_as_center_crops(folder):
    sets = [PairFolders(folder("bad", "a.png"), folder("good", "a.png"), "haze")]
    (sample,) = pair_samples(sets, WHOLE)
    assert sample.labels == ("haze",) and sample.load().reference.shape == (1, 32, 32, 3)
    (crop,) = pair_samples(sets, Protocol(size=10))
    assert torch.equal(crop.load().degraded, read_picture(sets[0].degraded / "a.png").image[:, 11:21, 11:21])


def test_pairs_of_two_sizes_are_refused(folder):
    (sample,) = pair_samples([PairFolders(folder("bad", "a.png"), folder("good", "a.png", size=40))], WHOLE)
    with pytest.raises(ad.InputError, match=r"is 32x32, its reference .* is 40x40; crop both"):
        sample.load()


def test_a_crop_must_fit(folder):
    (sample,) = unpaired_samples(folder("bad", "a.png"), Protocol(size=33))
    with pytest.raises(ad.InputError, match="crops of 33 pixels need larger ones"):
        sample.load()


def test_sub_folders_named_like_labels(folder, tmp_path):
    for name in ("low_resolution", "rain", "notes"):
        folder(f"bad/{name}", "1.png")
    folder("good", "1.png")
    folder("good/rain", "1.png")
    sets = find_pair_folders(tmp_path / "bad", tmp_path / "good", ad.LABELS)
    assert sets == [
        PairFolders(tmp_path / "bad" / "low_resolution", tmp_path / "good", "low resolution"),
        PairFolders(tmp_path / "bad" / "rain", tmp_path / "good" / "rain", "rain"),
    ]
    assert find_pair_folders(tmp_path / "good" / "rain", tmp_path / "good", ad.LABELS)[0].label == ""


def test_one_folder_twice_is_refused(folder):
    sets = [PairFolders(folder("bad", "a.png"), folder("good", "a.png"), "haze")] * 2
    with pytest.raises(ad.InputError, match="given twice"):
        pair_samples(sets, WHOLE)


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


def test_some_mixtures_of_each_crop_draw_every_pair_alike(random_image):
    photos = {str(i): random_image(i, 300) for i in range(3)}
    samples = photo_samples(photos, ("noise", "blur", "haze", "rain"), Protocol(crops=1, mixtures=True))
    pairs = [sample.labels for sample in some_mixtures(samples, 2)]
    assert len(pairs) == len(set(pairs)) == 6 and all(len(pair) == 2 for pair in pairs)
