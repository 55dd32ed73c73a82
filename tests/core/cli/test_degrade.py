"""`degrade` as its user meets it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from autodir_core.imaging.files import read_picture
from tests.core.cli.helpers import call, names_in, pixels, saved, written
from tests.core.imaging.formats.test_metadata import ODD


def test_writes_what_the_api_gives(picture, tmp_path):
    from autodir_core.degrade import compose

    options = "--label", "noise, haze", "--severity", 0.8, "--seed", 3, "--kind", "film grain, patchy"
    assert call("degrade", picture, "-o", tmp_path / "o.png", *options) == 0
    expected = compose(
        read_picture(picture).image, ["haze", "noise"], severity=0.8, seed=3, kind=["patchy", "film grain"]
    )
    assert np.array_equal(pixels(tmp_path / "o.png"), written(expected))


def test_a_folder(picture, tmp_path):
    assert call("degrade", picture.parent, "-o", tmp_path / "out", "--label", "blur") == 0
    assert names_in(tmp_path / "out") == ["photo_degraded.png"]


def test_odd_data_of_one_photo_cost_no_other(tmp_path, caplog):
    for number, exif in enumerate((b"", ODD["text for a resolution"], b"")):
        saved(tmp_path / "in" / f"{number}.jpg")
        with Image.open(tmp_path / "in" / f"{number}.jpg") as image:
            image.save(tmp_path / "in" / f"{number}.jpg", exif=exif)
    assert call("degrade", tmp_path / "in", "-o", tmp_path / "out", "--label", "noise", "--quiet") == 0
    assert [pixels(path).shape[:2] for path in sorted((tmp_path / "out").iterdir())] == [(48, 64), (64, 48), (48, 64)]
    with Image.open(tmp_path / "out" / "1_degraded.jpg") as image:
        assert image.info["exif"] == ODD["text for a resolution"].replace(b"\6", b"\1", 1)
    assert "1.jpg: its EXIF block is odd" in caplog.text


def test_labels_are_written_as_folders_are_and_count_once(picture, tmp_path, capsys):
    options = "--label", "low_resolution,Low resolution,blur"
    assert call("degrade", picture, "-o", tmp_path / "o.png", *options) == 0
    assert "photo.png: low resolution, blur ->" in capsys.readouterr().out


def test_what_is_no_degradation(picture, tmp_path, refused):
    assert "got 'no'" in refused("degrade", picture, "-o", tmp_path / "o.png", "--label", "blur,no")
    assert "0..1" in refused("degrade", picture, "-o", tmp_path / "o.png", "--label", "blur", "--severity", 2)
    assert "choose among: standard, gaussian" in refused(
        "degrade", picture, "-o", tmp_path / "o.png", "--label", "blur", "--kind", "film grain"
    )


def test_without_a_kind_it_is_what_it_always_was(picture, tmp_path):
    from autodir_core.degrade import degrade

    assert call("degrade", picture, "-o", tmp_path / "o.png", "--label", "rain") == 0
    assert np.array_equal(
        pixels(tmp_path / "o.png"), written(degrade(read_picture(picture).image, "rain", kind="standard"))
    )


def test_a_contact_sheet_has_every_kind_at_three_severities(picture, tmp_path):
    assert call("degrade", picture, "-o", tmp_path / "o.png", "--label", "jpeg artifact", "--contact-sheet") == 0
    height, width = read_picture(picture).image.shape[1:3]
    sheet = pixels(tmp_path / "o.png")
    assert sheet.shape[0] * sheet.shape[1] > 4 * 3 * height * width
