"""Overlapping tiles against the whole, with networks whose answer is known and with the embedded model."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import autodir_core as ad
from autodir_core.errors import InputError
from autodir_core.imaging.layout import from_network, to_network
from autodir_core.imaging.metrics import psnr
from autodir_core.imaging.tile_sizes import DEFAULT_TILE_SIZE, MIN_TILE_SIZE
from autodir_core.imaging.tiling import (
    OVERLAP,
    cross_fade,
    global_statistics,
    patch_indices,
    retry_smaller_tiles,
    run_tiled,
    sample_patches,
    smaller_tile_size,
    tile_starts,
)
from autodir_core.pipeline import restore
from autodir_core.stages import autoencoder as latent
from autodir_core.stages import correction as correct
from autodir_lab.evaluation.sources import read_packaged_photo

NOTHING = nn.Identity()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestPlaces:
    @pytest.mark.parametrize(("tile", "grid"), [(16, 1), (16, 4), (64, 16), (64, 32)])
    def test_the_bands_cover_every_size_and_overlap(self, tile, grid):
        for size in range(1, 300):
            places = tile_starts(size, tile, grid)
            steps = [after - before for before, after in pairwise(places)]
            assert places[0] == 0 and all(place % grid == 0 for place in places)
            assert places[-1] + tile - grid < max(size, tile) <= places[-1] + tile
            assert all(0 < step <= tile for step in steps)
            if grid == 1:
                assert all(step <= tile - tile // OVERLAP for step in steps)

    def test_what_fits_is_one_band(self):
        assert tile_starts(16, 16, 4) == tile_starts(3, 16, 4) == [0]

    def test_they_are_evenly_spread(self):
        assert tile_starts(40, 16, 1) == [0, 12, 24]
        assert tile_starts(30, 16, 1) == [0, 7, 14]
        assert tile_starts(30, 16, 4) == [0, 8, 16], "the last lacks two values"


class TestFade:
    def test_the_mix_runs_from_the_first_to_the_second(self):
        first, second = torch.zeros(1, 1, 1, 5), torch.ones(1, 1, 1, 6)
        expected = torch.tensor([0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1])
        assert torch.allclose(cross_fade(first, second, 1, dim=-1).flatten(), expected)
        assert torch.allclose(cross_fade(first.mT, second.mT, 1, dim=-2).flatten(), expected)

    def test_pieces_that_touch_are_put_together(self):
        assert cross_fade(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 1), 2, dim=-1).tolist() == [[[[0, 0, 1]]]]


class TestTiles:
    X = noise(2, 3, 50, 74)

    @pytest.mark.parametrize("tile", [16, 24, 60])
    @pytest.mark.parametrize(
        ("grid", "network"),
        [
            (1, lambda x: x + 1),
            (1, partial(F.interpolate, scale_factor=4)),
            (2, partial(F.avg_pool2d, kernel_size=2)),
            (8, lambda x: F.interpolate(F.avg_pool2d(x, 2, ceil_mode=True), scale_factor=2)[..., : x.shape[2], :]),
        ],
    )
    def test_what_is_computed_by_place_comes_out_as_from_the_whole(self, network, grid, tile):
        assert torch.allclose(run_tiled(network, self.X, tile, grid=grid, module=NOTHING), network(self.X), atol=1e-6)

    def test_the_network_sees_no_more_than_a_tile(self):
        seen = []
        run_tiled(lambda x: seen.append(tuple(x.shape[-2:])) or x, self.X, 24, grid=4, module=NOTHING)
        assert max(seen) == (24, 24)
        assert len(seen) == 1 + 3 * 4, "the sample, and three rows of four"

    @pytest.mark.parametrize("tile", [None, 74, 500])
    def test_what_is_no_larger_goes_through_whole(self, tile):
        seen = []
        assert run_tiled(lambda x: seen.append(x) or x, self.X, tile, grid=8, module=NOTHING) is self.X
        assert seen == [self.X]

    def test_the_input_is_not_written_to(self):
        before = self.X.clone()
        run_tiled(lambda x: x, self.X, 16, grid=1, module=NOTHING)
        assert torch.equal(self.X, before)


class TestSample:
    def test_patches_come_from_all_over(self):
        assert patch_indices(102, 6, patch=2).tolist() == [0, 1, 50, 51, 100, 101]
        assert patch_indices(99, 4, patch=2).tolist() == [0, 1, 96, 97], "an odd end is left out"

    def test_a_short_side_is_taken_whole(self):
        assert patch_indices(7, 8, patch=4).tolist() == list(range(7))

    def test_both_sides(self):
        x = torch.arange(100.0).view(1, 1, 10, 10)
        assert sample_patches(x, 2, patch=1).tolist() == [[[[0, 9], [90, 99]]]]


class TestStatistics:
    X = noise(2, 4, 6, 8) * 3 + 1

    @pytest.fixture
    def norm(self):
        norm = nn.GroupNorm(2, 4)
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([1.0, -2, 3, 0.5]))
            norm.bias.copy_(torch.tensor([0.0, 1, -1, 2]))
        return norm.requires_grad_(False)

    def test_a_part_is_normalized_as_in_the_whole(self, norm):
        part, whole = norm(self.X[..., :3]), norm(self.X)
        with global_statistics(norm, lambda: norm(self.X)):
            assert torch.allclose(norm(self.X[..., :3]), whole[..., :3], atol=1e-6)
        assert torch.equal(norm(self.X[..., :3]), part), "afterwards it is as before"

    def test_tokens_are_normalized_too(self, norm):
        tokens = self.X.flatten(2)
        with global_statistics(norm, lambda: norm(tokens)):
            assert torch.allclose(norm(tokens[..., 5:]), F.group_norm(tokens, 2, norm.weight, norm.bias)[..., 5:])

    def test_the_precision_is_kept(self, norm):
        half, x = norm.bfloat16(), self.X.bfloat16()
        with global_statistics(half, lambda: half(x)):
            found = half(x[..., :3])
        assert found.dtype == torch.bfloat16
        assert torch.allclose(found, half(x)[..., :3], atol=0.04)

    def test_an_average_is_that_of_the_whole(self):
        pool = nn.AdaptiveAvgPool2d(1)
        with global_statistics(nn.Sequential(pool), lambda: pool(self.X)):
            assert torch.allclose(pool(self.X[..., :3]).flatten(1), self.X.mean(dim=(2, 3)))

    def test_nothing_stays_behind_after_an_error(self, norm):
        with pytest.raises(KeyboardInterrupt), global_statistics(norm, lambda: norm(self.X)):
            raise KeyboardInterrupt
        assert not norm._forward_hooks


class TestRoom:
    class Memory:
        """Holds tiles of so many pixels."""

        def __init__(self, limit: int, side: int) -> None:
            self.limit, self.side, self.tried = limit, side, []

        def __call__(self, tile: int | None) -> str:
            self.tried.append(tile)
            if min(tile or self.side, self.side) > self.limit:
                raise torch.cuda.OutOfMemoryError("tried to allocate 20 GiB")
            return "done"

    def test_what_fits_is_tried_once(self):
        memory = self.Memory(600, 600)
        assert retry_smaller_tiles(memory, None, 600) == "done"
        assert memory.tried == [None]

    def test_the_second_attempt_is_smaller_and_told(self, caplog):
        memory = self.Memory(600, 4000)
        assert retry_smaller_tiles(memory, None, 4000) == "done"
        assert memory.tried == [None, DEFAULT_TILE_SIZE]
        assert "does not hold 4000 pixels a side: trying tiles of 512" in caplog.text

    def test_there_is_no_third(self):
        memory = self.Memory(200, 4000)
        with pytest.raises(torch.cuda.OutOfMemoryError):
            retry_smaller_tiles(memory, 512, 4000)
        assert memory.tried == [512, 256]

    def test_other_errors_are_not_tried_again(self):
        def broken(tile):
            raise RuntimeError("a bug")

        with pytest.raises(RuntimeError, match="a bug"):
            retry_smaller_tiles(broken, None, 4000)

    def test_always_smaller_than_what_failed(self):
        assert [smaller_tile_size(side) for side in (4000, 513, 512, 400, 200)] == [512, 512, 256, 200, MIN_TILE_SIZE]


@pytest.fixture(scope="module")
def mini() -> ad.AutoDIR:
    return ad.load_autodir(device="cpu")


@pytest.fixture(scope="module")
def palace() -> torch.Tensor:
    """A photo [1, 3, 320, 640] in -1..1 with even sky beside detail: what tiles by themselves would make uneven."""
    return to_network(read_packaged_photo("sklearn.datasets.images", "china.jpg")[:, :320])


@torch.inference_mode()
def test_tiles_are_close_to_the_whole_picture(mini, palace):
    """Tiles of 256 pixels; with statistics of their own they reach 31 and 47 dB, larger ones come closer."""
    vae, scm = mini.networks.vae, mini.networks.scm
    code, tiled_code = (latent.encode_mode(vae, palace, tile) for tile in (None, 256))
    assert (tiled_code - code).std() < 0.08 * code.std()
    drawn, tiled_drawn = (latent.decode(vae, code, 1.0, tile) for tile in (None, 256))
    assert psnr(from_network(tiled_drawn), from_network(drawn)) > 38
    corrected, tiled_corrected = (correct.correct(scm, palace, drawn, tile) for tile in (None, 256))
    assert psnr(from_network(tiled_corrected), from_network(corrected)) > 50


class TestModel:
    def test_tiles_change_nothing_of_the_model(self, tiny):
        image, z = torch.rand(1, 150, 200, 3), noise(1, 4, 24, 32)
        before = tiny.encode(image), tiny.decode(z), tiny.correct(image, image)
        small = tiny.tiled(128)
        inside = small.encode(image), small.decode(z), small.correct(image, image)
        after = tiny.encode(image), tiny.decode(z), tiny.correct(image, image)
        for whole, tiled, again in zip(before, inside, after, strict=True):
            assert torch.equal(whole, again)
            assert whole.shape == tiled.shape and not torch.equal(whole, tiled)
        assert (tiny.tile_size, small.tile_size) == (None, 128)

    def test_small_pictures_are_the_same_to_the_last_bit(self, tiny):
        image = torch.rand(1, 50, 72, 3)
        assert torch.equal(tiny.tiled(128).encode(image), tiny.encode(image))
        assert torch.equal(tiny.tiled(128).correct(image, image), tiny.correct(image, image))

    def test_a_tiled_restoration_keeps_the_size(self, tiny):
        image = torch.rand(1, 130, 203, 3)
        done = restore(tiny.tiled(128), image, ad.LoopSettings(1, prompt="haze"), ad.SamplerSettings(steps=1))
        assert done.image.shape == image.shape and done.image.isfinite().all()

    def test_the_scale_of_latents_can_be_another(self, tiny):
        z = noise(1, 4, 8, 8)
        assert torch.allclose(tiny.decode(z, scale=1.0), tiny.decode(z * tiny.metadata.latent_scale), atol=1e-5)

    def test_tiles_can_be_too_small(self, tiny):
        with pytest.raises(InputError, match="128 pixels a side or more, got 64"):
            tiny.tiled(64)
