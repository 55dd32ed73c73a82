"""Pictures of one photograph are found again at another size, compressed or mirrored; others are not."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from scripts import duplicates


def smooth_picture(seed: int) -> Image.Image:
    colors = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize((240, 180), Image.Resampling.BICUBIC)


@pytest.fixture
def folders(tmp_path):
    """A folder of photographs in two splits and one of measured pictures, all different."""
    for folder, seeds in (("photos/train", (0, 1)), ("photos/test", (2, 3)), ("measured", (4, 5))):
        (tmp_path / folder).mkdir(parents=True)
        for seed in seeds:
            smooth_picture(seed).save(tmp_path / folder / f"{seed}.png")
    return tmp_path / "photos", tmp_path / "measured"


def test_different_pictures_are_no_pair(folders, capsys):
    photos, measured = folders
    assert duplicates.main([str(photos), str(measured)]) == 0
    assert duplicates.main([str(photos)]) == 0
    assert "4 pictures compared, 0 pairs found" in capsys.readouterr().out


def test_a_measured_picture_is_found_small_compressed_and_mirrored(folders, capsys):
    photos, measured = folders
    ImageOps.mirror(smooth_picture(1)).resize((100, 75)).save(measured / "copy.jpg", quality=60)
    assert duplicates.main([str(photos), str(measured)]) == 1
    assert "train/1.png" in capsys.readouterr().out.replace("\\", "/")


def test_a_scene_in_two_splits_is_found(folders, capsys):
    photos, _ = folders
    smooth_picture(0).resize((120, 90)).save(photos / "test" / "again.jpg", quality=70)
    assert duplicates.main([str(photos)]) == 1
    assert capsys.readouterr().out.count("again.jpg") == 1


def test_a_file_that_is_no_picture_is_skipped(folders, capsys):
    photos, measured = folders
    (measured / "broken.jpg").write_bytes(b"no picture")
    assert duplicates.main([str(photos), str(measured)]) == 0
    assert "broken.jpg is skipped" in capsys.readouterr().err
