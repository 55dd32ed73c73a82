"""Tiles of scenes, photos and pairs: what they show, and that they are drawn once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from autodir_core import InputError
from autodir_core.imaging.files import write_picture
from autodir_core.imaging.paths import warn_once
from autodir_lab.training.data.prepare_data import find_alone, prepare_pairs, prepare_photos, prepare_scenes
from autodir_lab.training.data.tiles import count_left_out


@pytest.fixture
def waves():
    """A picture [1, H, W, 3] that is different everywhere, and not flat."""

    def draw(height: int, width: int) -> torch.Tensor:
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        return torch.stack([y % 256, x % 256, (x + y) // 8 % 256], dim=-1)[None].float() / 255

    return draw


def test_scenes_are_drawn_once(tmp_path):
    first = prepare_scenes(tmp_path, 2, seed=4).array
    assert first.shape == (2, 512, 512, 4) and first.dtype == np.uint8 and first.std() > 10
    stamp = (tmp_path / "scenes-4-2.npy").stat().st_mtime_ns
    assert np.array_equal(prepare_scenes(tmp_path, 2, seed=4).array, first)
    assert (tmp_path / "scenes-4-2.npy").stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir()] == ["scenes-4-2.npy"]


def test_photos_give_tiles_at_several_scales(tmp_path, waves):
    write_picture(tmp_path / "photos" / "large.png", waves(600, 1000))
    write_picture(tmp_path / "photos" / "inner" / "small.png", waves(512, 512))
    write_picture(tmp_path / "photos" / "flat.png", torch.full((1, 600, 600, 3), 0.5))
    write_picture(tmp_path / "photos" / "tiny.png", waves(100, 900))
    tiles = prepare_photos(tmp_path, tmp_path / "photos").array
    assert tiles.shape == (14, 512, 512, 4), "ten of the large one, four of the small one"
    whole = (waves(512, 512)[0].numpy() * 255).round()
    assert sum(np.array_equal(tile[..., :3], whole) for tile in tiles) == 4
    assert all(tile[0, :, 3].mean() > tile[-1, :, 3].mean() for tile in tiles), "far is above"

    assert len(list(tmp_path.glob("photos-*.npy"))) == 1
    write_picture(tmp_path / "photos" / "another.png", waves(512, 520))
    assert len(prepare_photos(tmp_path, tmp_path / "photos")) == 18, "another folder is another file"


def test_a_folder_without_usable_photos(tmp_path):
    write_picture(tmp_path / "photos" / "flat.png", torch.full((1, 600, 600, 3), 0.5))
    with pytest.raises(InputError, match="no usable picture"):
        prepare_photos(tmp_path, tmp_path / "photos")


def test_pairs_stay_together_and_keep_their_scale(tmp_path, waves):
    clean = waves(700, 300)
    write_picture(tmp_path / "haze" / "clean" / "a.png", clean)
    write_picture(tmp_path / "haze" / "degraded" / "a.png", clean / 2)
    tiles = prepare_pairs(tmp_path, tmp_path / "haze").array
    assert tiles.shape == (4, 512, 512, 6)
    degraded, clean = tiles[..., :3].astype(int), tiles[..., 3:].astype(int)
    assert np.abs(2 * degraded - clean).max() <= 1
    assert np.array_equal(clean[:, :, 300:510], clean[:, :, 298:88:-1]), "what is missing is reflected"
    steps = np.diff(clean[:, :, 0, 0], axis=1) % 256
    assert (steps == 1).all(), "one pixel is one pixel"


def test_pairs_that_do_not_fit(tmp_path, waves):
    write_picture(tmp_path / "degraded" / "a.png", waves(64, 64))
    write_picture(tmp_path / "clean" / "b.png", waves(64, 64))
    with pytest.raises(InputError, match=r"no picture of .* has a counterpart"):
        prepare_pairs(tmp_path, tmp_path)
    write_picture(tmp_path / "clean" / "a.png", waves(64, 65))
    with pytest.raises(InputError, match="no usable picture"):
        prepare_pairs(tmp_path, tmp_path)


def test_one_bad_pair_costs_no_other(tmp_path, waves, caplog):
    for folder in ("degraded", "clean"):
        for name in ("whole", "sizes", "broken", "alone"):
            write_picture(tmp_path / folder / f"{name}.png", waves(64, 64))
    write_picture(tmp_path / "clean" / "sizes.png", waves(64, 65))
    (tmp_path / "degraded" / "broken.png").write_text("no picture")
    (tmp_path / "clean" / "alone.png").unlink()
    first = prepare_pairs(tmp_path, tmp_path)
    assert len(first) == 1
    assert count_left_out(first.left_out) == "3 left out (1 without counterpart, 1 unreadable, 1 of two sizes)"
    caplog.clear()
    assert prepare_pairs(tmp_path, tmp_path).left_out == first.left_out, "the tiles are there, what is missing is told"
    warn_once.cache_clear()
    find_alone(tmp_path)
    for reason in (
        "sizes.png have two sizes",
        "broken.png is not a picture",
        "alone.png is left out",
    ):
        assert reason in caplog.text


def test_one_bad_photo_costs_no_other(tmp_path, waves, caplog):
    write_picture(tmp_path / "photos" / "whole.png", waves(600, 600))
    (tmp_path / "photos" / "broken.png").write_text("no picture")
    assert len(prepare_photos(tmp_path, tmp_path / "photos")) > 0
    assert "broken.png is not a picture" in caplog.text


def test_whatever_gives_no_tiles_is_counted(tmp_path, waves):
    write_picture(tmp_path / "photos" / "whole.png", waves(600, 600))
    write_picture(tmp_path / "photos" / "flat.png", torch.full((1, 600, 600, 3), 0.5))
    write_picture(tmp_path / "photos" / "tiny.png", waves(100, 900))
    (tmp_path / "photos" / "broken.png").write_text("no picture")
    tiles = prepare_photos(tmp_path, tmp_path / "photos")
    assert count_left_out(tiles.left_out) == "3 left out (1 unreadable, 1 flat, 1 too small)"
    assert pickle.loads(pickle.dumps(tiles)).left_out == tiles.left_out
    for name in ("flat", "tiny", "broken"):
        (tmp_path / "photos" / f"{name}.png").unlink()
    assert prepare_photos(tmp_path, tmp_path / "photos").left_out == ()
